//! Tests of `enroll`.

use cairn_core::fact::verify;

use super::*;
use crate::exit;

const LATER: UnixTime = UnixTime::MAX_VALID;

fn temp() -> (tempfile::TempDir, DataDir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::new(temp.path().join("data"));
    (temp, dir)
}

fn founded(dir: &DataDir) -> Founded {
    let node = {
        let _lock = dir.lock().unwrap();
        identity(dir).unwrap().node_id()
    };
    let params = Params::private("makerspace", &[node], UnixTime(5)).unwrap();
    found(dir, params, vec!["192.0.2.1:7071".into()], 3, LATER).unwrap()
}

#[test]
fn a_founder_reads_back_its_mesh_and_its_invite_fact() {
    let (_temp, dir) = temp();
    let Founded { enrollment, invite } = founded(&dir);
    let back = load(&dir).unwrap().unwrap();
    assert_eq!(back.params, enrollment.params);
    assert_eq!(back.key.node_id(), enrollment.key.node_id());
    assert_eq!(back.facts, enrollment.facts);
    let fact = verify(&mesh_id(&back.params), back.facts[0].clone()).unwrap();
    let key = invite.unwrap().key().node_id();
    assert!(matches!(fact.fact().body, Body::Invite { key: of, uses: 3, .. } if of == key));
    assert_eq!(fact.fact().author, back.key.node_id());
}

#[test]
fn a_newcomer_admits_itself_with_the_invites_key_and_dials_the_inviter() {
    let ((_t1, founder), (_t2, newcomer)) = (temp(), temp());
    let Founded { enrollment, invite } = founded(&founder);
    let invite: Invite = invite.unwrap().to_text().unwrap().parse().unwrap();
    let joined = join(&newcomer, &invite, "anna").unwrap();
    assert_eq!(mesh_id(&joined.params), mesh_id(&enrollment.params));
    let back = load(&newcomer).unwrap().unwrap();
    let inviter = Some(enrollment.key.node_id());
    assert_eq!(back.dial, [("192.0.2.1:7071".to_string(), inviter)]);
    let fact = verify(&mesh_id(&back.params), back.facts[0].clone()).unwrap();
    assert_eq!(fact.fact().author, invite.key().node_id());
    let node = back.key.node_id();
    let own = Body::Admit { node, role: Role::Sealer, name: "anna" };
    assert_eq!(fact.fact().body, own);
}

#[test]
fn a_directory_belongs_to_one_mesh() {
    let ((_t1, dir), (_t2, other)) = (temp(), temp());
    let invite = founded(&dir).invite.unwrap();
    assert!(
        matches!(join(&dir, &invite, "x"), Err(EnrollError::Enrolled(of)) if of == "makerspace")
    );
    let open = { load_or_open(&other).unwrap_err() };
    // Without the directory nothing can be written.
    assert_eq!(open.exit_code(), exit::STORAGE);
}

#[test]
fn an_empty_directory_becomes_a_node_of_the_open_mesh_once() {
    let (_temp, dir) = temp();
    let _lock = dir.lock().unwrap();
    assert!(load(&dir).unwrap().is_none());
    let first = load_or_open(&dir).unwrap();
    assert_eq!(first.params, Params::open());
    assert_eq!(load_or_open(&dir).unwrap().key.node_id(), first.key.node_id());
}

#[test]
fn an_expired_invite_and_a_bad_name_are_refused_and_can_be_tried_again() {
    let ((_t1, founder), (_t2, newcomer)) = (temp(), temp());
    let good = founded(&founder).invite.unwrap();
    let params = good.params.clone();
    let old = Invite::new(params, good.inviter, vec![], [1; 32], Role::Member, UnixTime(9));
    assert!(matches!(join(&newcomer, &old, "x"), Err(EnrollError::Expired)));
    assert!(matches!(join(&newcomer, &good, ""), Err(EnrollError::Fact(_))));
    join(&newcomer, &good, "x").unwrap();
}

#[test]
fn a_damaged_mesh_file_is_an_error_and_never_another_mesh() {
    let (_temp, dir) = temp();
    founded(&dir);
    let text = fs::read_to_string(dir.mesh_file()).unwrap();
    let mesh = mesh_id(&Params::open()).to_string();
    let own = load(&dir).unwrap().unwrap();
    let other = text.replace(&mesh_id(&own.params).to_string(), &mesh);
    for damaged in [&text[..text.len() / 2], "", "{}", &other, &text.replace("mesh/1", "mesh/2")] {
        fs::write(dir.mesh_file(), damaged).unwrap();
        assert!(matches!(load(&dir), Err(EnrollError::Damaged { .. })), "{damaged}");
    }
}

#[test]
fn a_founder_invites_while_its_node_does_not_run_and_nobody_else_does() {
    let (founder_dir, joiner_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (founder, joiner) = (DataDir::new(founder_dir.path()), DataDir::new(joiner_dir.path()));
    let far = UnixTime(u64::MAX);
    let places = vec!["192.0.2.1:7071".to_string()];
    let make = |dir: &DataDir| invite(dir, places.clone(), Role::Member, 3, far, Some(9));
    assert!(matches!(make(&founder), Err(EnrollError::NoMesh)));
    let key = identity(&founder).unwrap().node_id();
    let params = Params::private("home", &[key], UnixTime(5)).unwrap();
    found(&founder, params, Vec::new(), 1, far).unwrap();
    let (enrollment, made) = make(&founder).unwrap();
    let is_invite = |fact: &Unverified<EncodedFact>| {
        matches!(fact.0.fact().body, Body::Invite { key, uses: 3, lease: Some(9), .. }
            if key == made.key().node_id())
    };
    assert!(enrollment.facts.iter().any(is_invite));
    assert!(load(&founder).unwrap().unwrap().facts.iter().any(is_invite));
    join(&joiner, &made, "shed").unwrap();
    assert!(matches!(make(&joiner), Err(EnrollError::NotFounder)));
    let _running = founder.lock().unwrap();
    assert!(matches!(make(&founder), Err(EnrollError::DataDir(_))));
}
