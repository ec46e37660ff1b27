//! Reads of the ledger for answers: ids from prefixes, pages of facts, items and blocks. Pure
//! functions of a `View`; every one reads a bounded number of rows and says where to go on.

use cairn_core::fact::{Body, EncodedFact, Role};
use cairn_core::id::{BlockId, ContentHash, FactId, MeshId, NodeId};
use cairn_core::ledger::line::{self, Standing};
use cairn_core::ledger::read::Read;
use cairn_core::ledger::rows::{FactRow, InviteRow, Known, Seq, half, key};
use cairn_core::store::{StoreFault, Table, View};
use cairn_core::time::UnixTime;
use cairn_core::verified::Verified;
use cairn_core::work::Height;

use crate::problem::{Code, Problem};

/// Shortest prefix that stands for an id.
pub const PREFIX_CHARS_MIN: usize = 6;
/// Rows looked at for one page of a filtered list.
const SCAN_ROWS_MAX: usize = 4_096;
/// Rows read at one time.
const SCAN_STEP: usize = 512;
/// Custody facts of an item that are looked at for whether they wait.
const ITEM_FACTS: usize = 8;
/// Facts of the same content that are looked at to count authors.
const CORROBORATION_ROWS: usize = 256;

/// Finds the only key of a table of ids that begins with these hex digits.
///
/// # Errors
/// `Usage` if it is no such prefix, `NotFound` or `Ambiguous` if not exactly one id has it.
pub fn resolve(
    view: &dyn View,
    table: Table,
    what: &str,
    prefix: &str,
) -> Result<[u8; 32], Problem> {
    let digits = prefix.len();
    let hex = prefix.bytes().all(|c| c.is_ascii_hexdigit());
    if !hex || !(PREFIX_CHARS_MIN..=64).contains(&digits) {
        return Err(Problem::usage(format!(
            "`{prefix}` is no {what} id: expected 64 hex digits, or at least the first \
             {PREFIX_CHARS_MIN} of them"
        )));
    }
    // A missing last digit stands for all sixteen.
    let bound = |pad: char| -> Vec<u8> {
        let padded: String = prefix.chars().chain((digits % 2 == 1).then_some(pad)).collect();
        (0..padded.len())
            .step_by(2)
            .filter_map(|at| u8::from_str_radix(&padded[at..at + 2], 16).ok())
            .collect()
    };
    let (from, mut to) = (bound('0'), bound('f'));
    to.resize(33, 0xff);
    let rows = view.scan(table, &from, &to, 2)?;
    match rows.as_slice() {
        [(only, _)] => <[u8; 32]>::try_from(only.as_slice())
            .map_err(|_| Problem::from(StoreFault { table, what: "a key is no id" })),
        [] => Err(Problem::new(
            Code::NotFound,
            format!("there is no {what} {prefix} on this node; it may not have arrived yet"),
            "run: cairn sync",
        )),
        _ => Err(Problem::new(
            Code::Ambiguous,
            format!("several {what} ids begin with {prefix}"),
            "give more digits of the id",
        )),
    }
}

/// A fact by its id or a prefix.
///
/// # Errors
/// As `resolve`.
pub fn fact_id(view: &dyn View, prefix: &str) -> Result<FactId, Problem> {
    resolve(view, Table::FactIndex, "fact", prefix).map(FactId)
}

/// A block by its height, its id or a prefix of it. Digits alone are a height unless there are 64.
///
/// # Errors
/// As `resolve`.
pub fn block_id(view: &dyn View, name: &str) -> Result<BlockId, Problem> {
    match name.parse() {
        Ok(height) if name.len() < 20 => match view.block_at(Height(height))? {
            Some(id) => Ok(id),
            // Six digits or more may be the beginning of an id after all.
            None if name.len() >= PREFIX_CHARS_MIN => {
                resolve(view, Table::Header, "block", name).map(BlockId)
            }
            None => Err(Problem::new(
                Code::NotFound,
                format!("there is no block at height {height} (yet)"),
                "run: cairn chain tip",
            )),
        },
        _ => resolve(view, Table::Header, "block", name).map(BlockId),
    }
}

/// A node by its id, by a unique beginning of it, or by the name of exactly one member.
///
/// # Errors
/// `NotFound` or `Ambiguous` if not exactly one member fits; a full id need not be a member's.
pub fn node_id(view: &dyn View, name: &str) -> Result<NodeId, Problem> {
    if let Ok(node) = name.parse() {
        return Ok(node);
    }
    let is_prefix = name.len() >= PREFIX_CHARS_MIN + "cairn1".len() && name.starts_with("cairn1");
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = members(view, after.as_ref(), SCAN_STEP)?;
        for (node, member) in &page {
            if member.name == name || (is_prefix && node.to_string().starts_with(name)) {
                let standing = line::standing(view, node)?;
                let counts = matches!(standing, Standing::Member | Standing::Lapsed(_));
                found.push((*node, counts && member.until.is_none()));
            }
        }
        match page.last() {
            Some((node, _)) if page.len() == SCAN_STEP => after = Some(*node),
            _ => break,
        }
    }
    // Who comes back after a revocation does so under the old name and with a new key, and so does
    // who rotates it.
    if found.iter().any(|(_, in_force)| *in_force) {
        found.retain(|(_, in_force)| *in_force);
    }
    match found.as_slice() {
        [(only, _)] => Ok(*only),
        [] => Err(Problem::new(
            Code::NotFound,
            format!("no member has the name or id `{name}`; an id may be mistyped"),
            "run: cairn member list",
        )),
        _ => Err(Problem::new(
            Code::Ambiguous,
            format!("several members fit `{name}`"),
            "run: cairn member list, and give the whole id",
        )),
    }
}

/// Members in order of their keys, after `after`.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn members(
    view: &dyn View,
    after: Option<&NodeId>,
    max: usize,
) -> Result<Vec<(NodeId, cairn_core::ledger::rows::Member)>, StoreFault> {
    let from = after.map_or_else(Vec::new, |node| [&node.0[..], &[0]].concat());
    let mut out = Vec::new();
    for (row_key, _) in view.scan(Table::Member, &from, &[0xff; 33], max)? {
        let Some(node) = NodeId::from_slice(&row_key) else {
            continue;
        };
        if let Some(member) = view.member(&node)? {
            out.push((node, member));
        }
    }
    Ok(out)
}

/// An invite in the set, sealed or not.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The public half of its key.
    pub key: NodeId,
    /// The fact that made it.
    pub fact: FactId,
    /// Who made it.
    pub by: NodeId,
    /// What those admitted become.
    pub role: Role,
    /// How many could be admitted.
    pub uses: u32,
    /// For how many blocks they are lent a membership.
    pub lease: Option<u32>,
    /// Until when.
    pub expires: UnixTime,
    /// What the chain knows of it.
    pub row: Option<InviteRow>,
}

/// Invites in order of their keys, after `after`, and where to go on if there may be more. A key
/// that is also a node's is not listed.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn invites(
    view: &dyn View,
    after: Option<&NodeId>,
    max: usize,
) -> Result<(Vec<Invite>, Option<NodeId>), StoreFault> {
    let from = after.map_or_else(Vec::new, |node| [&node.0[..], &[0]].concat());
    let rows = view.scan(Table::Known, &from, &[0xff; 33], SCAN_ROWS_MAX)?;
    let mut found = Vec::new();
    for (row_key, _) in &rows {
        let Some(key) = NodeId::from_slice(row_key) else {
            continue;
        };
        let Some(Known::Invite { fact, .. }) = view.known(&key)? else {
            continue;
        };
        let Some((_, encoded)) = view.fact(&fact)? else {
            continue;
        };
        let said = encoded.fact();
        if let Body::Invite { role, uses, expires, lease, .. } = said.body {
            let (by, row) = (said.author, view.invite(&key)?);
            found.push(Invite { key, fact, by, role, uses, expires, lease, row });
        }
        if found.len() == max {
            return Ok((found, Some(key)));
        }
    }
    let next = rows.last().filter(|_| rows.len() == SCAN_ROWS_MAX);
    Ok((found, next.and_then(|(key, _)| NodeId::from_slice(key))))
}

/// The key of an invite by itself or by a unique beginning of it.
///
/// # Errors
/// `NotFound` or `Ambiguous` if not exactly one invite fits.
pub fn invite_key(view: &dyn View, name: &str) -> Result<NodeId, Problem> {
    let is_prefix = name.len() >= PREFIX_CHARS_MIN + "cairn1".len() && name.starts_with("cairn1");
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = invites(view, after.as_ref(), SCAN_STEP)?;
        let fits = |key: &NodeId| {
            let text = key.to_string();
            text == name || (is_prefix && text.starts_with(name))
        };
        found.extend(page.iter().map(|invite| invite.key).filter(fits));
        match next {
            Some(key) => after = Some(key),
            None => break,
        }
    }
    match found.as_slice() {
        [only] => Ok(*only),
        [] => Err(Problem::new(
            Code::NotFound,
            "no invite has this key; give the key, or the invite's whole line",
            "run: cairn invite list",
        )),
        _ => Err(Problem::new(
            Code::Ambiguous,
            format!("the keys of several invites begin with {name}"),
            "give more characters of the key",
        )),
    }
}

/// How many others say the same: authors other than `author` of facts with this content. Counts
/// among the first few hundred facts of that content.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn corroboration(
    view: &dyn View,
    content: &ContentHash,
    author: &NodeId,
) -> Result<usize, StoreFault> {
    let mut others: Vec<NodeId> = Vec::new();
    for fact in same_content(view, content)? {
        let by = fact.fact().author;
        if by != *author && !others.contains(&by) {
            others.push(by);
        }
    }
    Ok(others.len())
}

/// The fact of this author with this content, if it is among the first few hundred.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn said_before(
    view: &dyn View,
    content: &ContentHash,
    author: &NodeId,
) -> Result<bool, StoreFault> {
    let mut facts = same_content(view, content)?.into_iter();
    Ok(facts.any(|fact| fact.fact().author == *author))
}

fn same_content(
    view: &dyn View,
    content: &ContentHash,
) -> Result<Vec<Verified<EncodedFact>>, StoreFault> {
    let seqs = view.seqs(Table::Content, half(&content.0), Seq(0), CORROBORATION_ROWS)?;
    let mut out = Vec::new();
    for seq in seqs {
        // The index holds half the hash; the id is not needed here.
        let fact = EncodedFact::from_store(FactId::ZERO, &view.fact_bytes(seq)?);
        if fact.fact().content_hash() == *content {
            out.push(fact);
        }
    }
    Ok(out)
}

/// How many of the newest custody facts of an item wait to be sealed; counts a few at most.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn item_pending(view: &dyn View, item: &str) -> Result<usize, StoreFault> {
    let prefix = key(&[item.as_bytes(), &[0]]);
    let seqs = view.seqs_back(Table::ItemFacts, &prefix, Seq(u64::MAX), ITEM_FACTS)?;
    let waits = |seq: &Seq| view.get(Table::Pending, &seq.key()).map(|row| row.is_some());
    seqs.iter().map(waits).try_fold(0, |sum, waits| Ok(sum + usize::from(waits?)))
}

/// Which facts, and in what order.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only records of this topic.
    pub topic: Option<String>,
    /// Only by this author.
    pub author: Option<NodeId>,
    /// Only those whose author's time is not before this, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// In order of arrival; otherwise the newest first.
    pub ascending: bool,
}

/// A fact with its row.
pub type Found = (FactRow, Verified<EncodedFact>);

impl Filter {
    fn keeps(&self, fact: &EncodedFact) -> bool {
        let said = fact.fact();
        let topic = self.topic.as_ref().is_none_or(|wanted| {
            matches!(said.body, cairn_core::fact::Body::Record { topic, .. } if topic == wanted)
        });
        topic
            && self.author.is_none_or(|author| author == said.author)
            && self.since.is_none_or(|since| said.time.0 >= since)
    }

    fn seqs(&self, view: &dyn View, cursor: Seq, max: usize) -> Result<Vec<Seq>, StoreFault> {
        let (table, prefix) = match (&self.topic, &self.author) {
            (Some(topic), _) => (Table::Topic, key(&[topic.as_bytes(), &[0]])),
            (None, Some(author)) => (Table::Author, key(&[half(&author.0)])),
            (None, None) => {
                let last = view.set_row()?.summary.count;
                let max = max as u64;
                return Ok(if self.ascending {
                    let first = cursor.0.saturating_add(1);
                    (first..=last.min(cursor.0.saturating_add(max))).map(Seq).collect()
                } else {
                    let end = cursor.0.min(last.saturating_add(1));
                    (end.saturating_sub(max).max(1)..end).rev().map(Seq).collect()
                });
            }
        };
        if self.ascending {
            view.seqs(table, &prefix, cursor, max)
        } else {
            view.seqs_back(table, &prefix, cursor, max)
        }
    }

    /// Up to `max` facts from after the cursor, and the cursor of the next page if there may be
    /// one. A page of a sparse filter may be short or empty and still have a next one.
    ///
    /// # Errors
    /// `StoreFault` if the view fails.
    pub fn page(
        &self,
        view: &dyn View,
        mesh: &MeshId,
        cursor: Option<Seq>,
        max: usize,
    ) -> Result<(Vec<Found>, Option<Seq>), StoreFault> {
        let start = if self.ascending { Seq(0) } else { Seq(u64::MAX) };
        let mut cursor = cursor.unwrap_or(start);
        let mut found = Vec::new();
        let mut looked = 0;
        while looked < SCAN_ROWS_MAX {
            let step = SCAN_STEP.min((max - found.len()).max(16));
            let seqs = self.seqs(view, cursor, step)?;
            looked += step;
            let ended = seqs.len() < step;
            for seq in seqs {
                if found.len() == max {
                    return Ok((found, Some(cursor)));
                }
                cursor = seq;
                let fact = fact_at(view, mesh, seq)?;
                if self.keeps(&fact.1) {
                    found.push(fact);
                }
            }
            if ended {
                return Ok((found, None));
            }
        }
        Ok((found, Some(cursor)))
    }
}

/// The fact with a number of arrival.
///
/// # Errors
/// `StoreFault` if the view fails or the fact is not indexed.
pub fn fact_at(view: &dyn View, mesh: &MeshId, seq: Seq) -> Result<Found, StoreFault> {
    let fault = |what| StoreFault { table: Table::Fact, what };
    let bytes = view.fact_bytes(seq)?;
    let parsed =
        EncodedFact::parse(mesh, &bytes).map_err(|_| fault("a stored fact does not decode"))?;
    let id = parsed.0.id();
    let row = view.fact_row(&id)?.ok_or(fault("a stored fact is not indexed"))?;
    Ok((row, EncodedFact::from_store(id, &bytes)))
}

/// Which way along a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Relations whose subject is the fact.
    From,
    /// Relations whose object is the fact.
    To,
}

/// Relation facts at one side of a fact, in order of arrival.
///
/// # Errors
/// `StoreFault` if the view fails.
pub fn relations(
    view: &dyn View,
    mesh: &MeshId,
    id: &FactId,
    side: Side,
    after: Seq,
    max: usize,
) -> Result<Vec<Found>, StoreFault> {
    let table = match side {
        Side::From => Table::RelationFrom,
        Side::To => Table::RelationTo,
    };
    let seqs = view.seqs(table, id.as_bytes(), after, max)?;
    seqs.into_iter().map(|seq| fact_at(view, mesh, seq)).collect()
}

#[cfg(test)]
mod tests;
