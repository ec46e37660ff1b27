//! Seeds that found bugs, kept for ever, with what each found.

/// Seed and what it found. Those up to the mark were drawn by an earlier, smaller generator; what
/// they found has tests of its own.
pub(crate) const KEPT: &[(u64, &str)] = &[
    (0, "a reconciliation was due at a moment that nobody asked a tick for"),
    (3, "the wait of a linked address hid that of one that was to be dialled"),
    (32, "as 0, on a node that was fetching facts"),
    (175, "blocks beside the chain decided for some and were unknown to others: no agreement"),
    (2082, "nobody asked for a tick when a branch of withheld blocks was to be given up"),
    (22, "in an open mesh, who admits whom depended on the order in which facts came"),
    (49, "a bad body in an answer froze the bodies beside it: they were never asked for again"),
    (112, "as 49, with one hostile member and nobody else awake"),
    (
        273,
        "the best branch was withheld: facts were asked for every second for ever, and who does not \
           seal never followed the branch of the others",
    ),
    // The mark.
    (
        55,
        "in an open mesh, whether a revoked author's fact was refused for good depended on what was \
           judged beside it: sets stayed different",
    ),
    (78, "a check of the verify queue that forgot answers of links which are gone"),
    (
        160,
        "who lost its disk after the founder was revoked got the facts first and then let nobody in",
    ),
    (162, "as 55; and the naive ledger did not know that proof of work needs no last sealer"),
    (
        40_416,
        "with a full list of wanted facts, who made room for an announcement was not asked any more \
           for what a block needs",
    ),
    (
        42_045,
        "an answer to a reconciliation that was broken off was taken for one of the next, and the \
           honest peer blamed for it",
    ),
    (
        48_238,
        "nobody asked for a tick when a reconciliation with one who does not serve was to end",
    ),
    (
        524,
        "after a recovery, two who thought each other revoked waited for each other in silence, and \
           neither heard why",
    ),
    (872, "what let an admin in by two recoveries depended on which of them came first"),
    (
        1_147,
        "a key that was revoked before anybody admitted it passed for a member when that revocation \
           counted no more; and what a stranger showed of recoveries was not kept",
    ),
    (2_272, "as 40416, after two recoveries"),
    (61_216, "facts that came in from disk when there was room again were judged by nobody"),
    (2642049818194, "in an open mesh a revoked key could ask for an item, but not be handed one"),
    (105_500, "a node without room to spare did not cut off whom it had just heard to be revoked"),
    (71_667, "as 40416"),
    (
        47_986,
        "more of a withheld branch, looked for beside it, counted as progress on it: two nodes never \
           fetched each other's block",
    ),
    (
        46_985,
        "a check that sought a revocation in two sets only: of who had no room to note it, and of who \
           lost its disk after telling it",
    ),
    (
        1_119,
        "whose lease was over and who had come by an invite was told that the invite was used up",
    ),
    (302_224, "a link was closed for a lease that the block sealed in the same step renewed"),
    (303_569, "as 302224"),
    (
        62_524,
        "a sealer whose clock was set back while it ground a block sealed nothing more until a fact came",
    ),
];
