//! Belonging to a mesh: founding one, joining one, or falling back to the open one.
//!
//! What that fixes is in `mesh.json`, outside the store, because peers cannot give it back: the
//! mesh's rules, the facts this node needs to be let in (the founder's first invite, the newcomer's
//! own `Admit`), and whom to dial first. The store is made from it when a node starts, so `init` and
//! `join` are one atomic write each, and a damaged store is refilled by starting again without it.

mod error;

use std::fs;
use std::io;
use std::str::FromStr;

use cairn_core::block::genesis;
use cairn_core::codec;
use cairn_core::fact::{Body, EncodedFact, Fact, FactError, Role};
use cairn_core::id::{Hex, MeshId, NodeId};
use cairn_core::invite::Invite;
use cairn_core::params::{PARAMS_BYTES_MAX, Params};
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;
use cairn_core::verified::{Unverified, Verified};
use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, DataDirError};
use crate::keys::{self, NodeKey, write_atomically};

pub use error::EnrollError;

/// Most bytes of a `mesh.json`.
const MESH_FILE_BYTES_MAX: u64 = 256 * 1024;
/// The file's version.
const SCHEMA: &str = "cairn.mesh/1";

/// A place to dial, and the key expected there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialEntry {
    /// `host:port`.
    pub address: String,
    /// The key, as text.
    pub node: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct MeshFile {
    schema: String,
    mesh: String,
    name: String,
    params: String,
    facts: Vec<String>,
    dial: Vec<DialEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invite_expires: Option<u64>,
}

/// A node's place in a mesh.
#[derive(Debug, Clone)]
pub struct Enrollment {
    /// The node's key.
    pub key: NodeKey,
    /// The mesh's rules.
    pub params: Params,
    /// Facts that this node has to bring along.
    pub facts: Vec<Unverified<EncodedFact>>,
    /// Whom to dial first.
    pub dial: Vec<(String, Option<NodeId>)>,
    /// When the invite expires that this node joined by.
    pub invite_expires: Option<UnixTime>,
}

impl Enrollment {
    const fn new(key: NodeKey, params: Params) -> Self {
        Self { key, params, facts: Vec::new(), dial: Vec::new(), invite_expires: None }
    }
}

/// The id of the mesh with these rules.
pub fn mesh_id(params: &Params) -> MeshId {
    MeshId::from(genesis(params).id())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let even = text.len().is_multiple_of(2) && text.bytes().all(|c| c.is_ascii_hexdigit());
    even.then(|| text.as_bytes().chunks(2).map(digits).collect())?
}

fn require_new(dir: &DataDir) -> Result<(), EnrollError> {
    match load(dir)? {
        Some(enrollment) => Err(EnrollError::Enrolled(enrollment.params.name.to_string())),
        None => Ok(()),
    }
}

/// The node's key, made if there is none. Needed before the rules of a new mesh can be written,
/// because they name their founder. Hold the directory's lock.
///
/// # Errors
/// `EnrollError`.
pub fn identity(dir: &DataDir) -> Result<NodeKey, EnrollError> {
    Ok(keys::load_or_create(&dir.key_file())?)
}

/// What founding a mesh gives.
#[derive(Debug)]
pub struct Founded {
    /// The founder's place in it.
    pub enrollment: Enrollment,
    /// An invite for somebody else; none in an open mesh, which needs none.
    pub invite: Option<Invite>,
}

/// Founds a mesh with rules that name this node's `identity`, and makes its first invite: for
/// sealers, `uses` times, until `expires`, with `addresses` where this node will be found.
///
/// # Errors
/// `EnrollError`; then nothing but the key was written.
pub fn found(
    dir: &DataDir,
    params: Params,
    addresses: Vec<String>,
    uses: u32,
    expires: UnixTime,
) -> Result<Founded, EnrollError> {
    let _lock = dir.lock()?;
    require_new(dir)?;
    params.check()?;
    let key = identity(dir)?;
    let mut enrollment = Enrollment::new(key, params);
    let node = enrollment.key.node_id();
    let invite = if enrollment.params.is_root(&node) {
        Some(make_invite(&mut enrollment, addresses, Role::Sealer, uses, expires, None)?)
    } else {
        None
    };
    save(dir, &enrollment)?;
    Ok(Founded { enrollment, invite })
}

/// Makes an invite while the node is not running; its fact enters the store when it runs next.
///
/// # Errors
/// `EnrollError`: the node runs (its lock is held), belongs to no mesh, or is no founder. Who else
/// is an admin is in the store, which only a running node reads.
pub fn invite(
    dir: &DataDir,
    addresses: Vec<String>,
    role: Role,
    uses: u32,
    expires: UnixTime,
    lease: Option<u32>,
) -> Result<(Enrollment, Invite), EnrollError> {
    let _lock = dir.lock()?;
    let mut enrollment = load(dir)?.ok_or(EnrollError::NoMesh)?;
    if !enrollment.params.is_root(&enrollment.key.node_id()) {
        return Err(EnrollError::NotFounder);
    }
    let invite = make_invite(&mut enrollment, addresses, role, uses, expires, lease)?;
    save(dir, &enrollment)?;
    Ok((enrollment, invite))
}

/// Names the node of this directory, while it does not run; the fact enters the store when it runs
/// next.
///
/// # Errors
/// `EnrollError`: the node runs (its lock is held), belongs to no mesh, or the name is not permitted.
pub fn name(dir: &DataDir, name: &str) -> Result<(), EnrollError> {
    let _lock = dir.lock()?;
    let mut enrollment = load(dir)?.ok_or(EnrollError::NoMesh)?;
    let node = enrollment.key.node_id();
    let fact = sign(&enrollment, enrollment.key.signing(), Body::Name { node, name })?;
    enrollment.facts.push(fact);
    save(dir, &enrollment)
}

/// Keeps a fact that this node has to bring along from now on; once.
///
/// # Errors
/// `EnrollError` if it cannot be written.
pub(crate) fn add_fact(
    dir: &DataDir,
    enrollment: &mut Enrollment,
    fact: Verified<EncodedFact>,
) -> Result<(), EnrollError> {
    let fact = Unverified(fact.into_inner());
    if enrollment.facts.contains(&fact) {
        return Ok(());
    }
    enrollment.facts.push(fact);
    save(dir, enrollment)
}

fn make_invite(
    enrollment: &mut Enrollment,
    addresses: Vec<String>,
    role: Role,
    uses: u32,
    expires: UnixTime,
    lease: Option<u32>,
) -> Result<Invite, EnrollError> {
    let secret = keys::random::<32>()?;
    let (params, node) = (enrollment.params.clone(), enrollment.key.node_id());
    let invite = Invite::new(params, node, addresses, secret, role, expires);
    invite.to_text()?;
    let body = Body::Invite { key: invite.key().node_id(), role, uses, expires, lease };
    let fact = sign(enrollment, enrollment.key.signing(), body)?;
    enrollment.facts.push(fact);
    Ok(invite)
}

fn sign(
    enrollment: &Enrollment,
    key: &SigningKey,
    body: Body<'_>,
) -> Result<Unverified<EncodedFact>, FactError> {
    let fact = Fact { author: key.node_id(), time: crate::clock::wall(), body };
    let signed: Verified<_> = EncodedFact::sign(fact, &mesh_id(&enrollment.params), key)?;
    Ok(Unverified(signed.into_inner()))
}

/// Joins the mesh of an invite under a name for people, without talking to anybody: the `Admit` is
/// signed here with the invite's key, and shown to the inviter when the node runs.
///
/// # Errors
/// `EnrollError`; then nothing but the key was written.
pub fn join(dir: &DataDir, invite: &Invite, name: &str) -> Result<Enrollment, EnrollError> {
    let _lock = dir.lock()?;
    require_new(dir)?;
    if crate::clock::wall() > invite.expires {
        return Err(EnrollError::Expired);
    }
    let inviter = Some(invite.inviter);
    let mut enrollment = Enrollment::new(identity(dir)?, invite.params.clone());
    enrollment.dial = invite.addresses.iter().map(|a| (a.clone(), inviter)).collect();
    enrollment.invite_expires = Some(invite.expires);
    let node = enrollment.key.node_id();
    if !enrollment.params.is_root(&node) {
        let role = invite.role;
        let fact = sign(&enrollment, &invite.key(), Body::Admit { node, role, name })?;
        enrollment.facts.push(fact);
    }
    save(dir, &enrollment)?;
    Ok(enrollment)
}

/// The place in its mesh of the node in this directory; for a new directory, in the open mesh.
/// Hold the directory's lock.
///
/// # Errors
/// `EnrollError`.
pub fn load_or_open(dir: &DataDir) -> Result<Enrollment, EnrollError> {
    if let Some(enrollment) = load(dir)? {
        return Ok(enrollment);
    }
    let enrollment = Enrollment::new(identity(dir)?, Params::open());
    save(dir, &enrollment)?;
    Ok(enrollment)
}

fn save(dir: &DataDir, enrollment: &Enrollment) -> Result<(), EnrollError> {
    let path = dir.mesh_file();
    let file = MeshFile {
        schema: SCHEMA.into(),
        mesh: mesh_id(&enrollment.params).to_string(),
        name: enrollment.params.name.to_string(),
        params: Hex(&codec::encode(&enrollment.params)).to_string(),
        facts: enrollment.facts.iter().map(|f| Hex(f.0.bytes()).to_string()).collect(),
        dial: enrollment.dial.iter().map(dial_entry).collect(),
        invite_expires: enrollment.invite_expires.map(|time| time.0),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|e| DataDirError::io(&path, e.into()))?;
    write_atomically(&path, &text, 0o600).map_err(|e| DataDirError::io(&path, e))?;
    Ok(())
}

fn dial_entry((address, node): &(String, Option<NodeId>)) -> DialEntry {
    DialEntry { address: address.clone(), node: node.map(|node| node.to_string()) }
}

/// What `mesh.json` says; none if the directory belongs to no mesh yet.
///
/// # Errors
/// `EnrollError::Damaged`, or what the key or the file system has to say.
pub fn load(dir: &DataDir) -> Result<Option<Enrollment>, EnrollError> {
    use io::Read;
    let path = dir.mesh_file();
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(DataDirError::io(&path, e).into()),
    };
    let mut text = Vec::new();
    file.take(MESH_FILE_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(|e| DataDirError::io(&path, e))?;
    let damaged = |what: String| EnrollError::Damaged { path: path.clone(), what };
    let key = keys::load(&dir.key_file())?
        .ok_or_else(|| damaged("the node's key beside it is missing".into()))?;
    parse(&text, key).map(Some).map_err(damaged)
}

/// The content of a `mesh.json`, for the node with this key.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &[u8], key: NodeKey) -> Result<Enrollment, String> {
    let file: MeshFile = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    if file.schema != SCHEMA {
        return Err(format!("expected schema {SCHEMA}, got {}", file.schema));
    }
    let bytes = unhex(&file.params).ok_or("the rules are no hex")?;
    let params: Params = codec::decode(&bytes, PARAMS_BYTES_MAX).map_err(|e| e.to_string())?;
    params.check().map_err(|e| e.to_string())?;
    let mesh = mesh_id(&params);
    if MeshId::from_str(&file.mesh) != Ok(mesh) {
        return Err("the rules are not those of the mesh it names".into());
    }
    let facts = file.facts.iter().map(|text| {
        let bytes = unhex(text).ok_or("a fact is no hex")?;
        EncodedFact::parse(&mesh, &bytes).map_err(|e| e.to_string())
    });
    let dial = file.dial.into_iter().map(|entry| {
        let node = entry.node.map(|node| node.parse()).transpose();
        node.map(|node| (entry.address, node))
    });
    Ok(Enrollment {
        key,
        params,
        invite_expires: file.invite_expires.map(UnixTime),
        facts: facts.collect::<Result<_, String>>()?,
        dial: dial
            .collect::<Result<_, _>>()
            .map_err(|e: cairn_core::id::IdParseError| e.to_string())?,
    })
}

#[cfg(test)]
mod tests;
