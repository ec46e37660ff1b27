//! What can go wrong in a world, one function each.

use cairn_core::store::Table;
use cairn_core::time::Millis;

use super::{IDLE_TIMEOUT, World};
use crate::disk::Disk;
use crate::schedule::Happening;

impl World {
    /// Steps a node's wall clock to this far from the world's.
    pub fn set_clock(&mut self, n: usize, skew: i64) {
        self.fault(if skew < self.nodes[n].clocks.skew {
            "clock stepped back"
        } else {
            "clock stepped forward"
        });
        self.nodes[n].clocks.skew = skew;
        if self.nodes[n].engine.is_some() {
            self.tick_at(n, self.now);
        }
    }

    /// The power of a node fails: what was not durable is gone but for the first `kept` batches,
    /// and its peers notice in time.
    pub fn crash_keeping(&mut self, n: usize, kept: usize) {
        self.fault("power cut");
        let lost = self.nodes[n].disk.crash(kept);
        *self.tally.faults.entry("batch lost in a power cut").or_default() += lost as u64;
        self.down(n);
    }

    /// The power of a node fails: everything that was not durable is gone.
    pub fn crash(&mut self, n: usize) {
        self.crash_keeping(n, 0);
    }

    /// The process of a node ends: what it wrote is there, and its peers notice in time.
    pub fn kill(&mut self, n: usize) {
        self.fault("process killed");
        self.down(n);
    }

    /// The process ends because its user wanted it to.
    pub(crate) fn halt(&mut self, n: usize) {
        self.fault("stopped in good order");
        self.down(n);
    }

    fn down(&mut self, n: usize) {
        let node = &mut self.nodes[n];
        self.up -= u64::from(node.engine.take().is_some());
        node.life += 1;
        node.disk.settle();
        node.wake_at = None;
        self.drop_connections(n);
    }

    fn drop_connections(&mut self, n: usize) {
        self.nodes[n].streams.clear();
        for (_, end) in std::mem::take(&mut self.nodes[n].ends) {
            let at = self.now + IDLE_TIMEOUT;
            self.schedule(at, end.to, Happening::lost(end.peer));
        }
    }

    /// The machine is suspended for a while. Its monotonic clock may stand still meanwhile.
    pub fn sleep(&mut self, n: usize, span: Millis, stands_still: bool) {
        self.fault("suspend");
        self.nodes[n].asleep_until = self.now + span;
        if stands_still {
            self.nodes[n].clocks.slept += span;
        }
        if span >= IDLE_TIMEOUT {
            let conns: Vec<_> = self.nodes[n].ends.keys().copied().collect();
            for conn in conns {
                let end = self.nodes[n].ends[&conn];
                let at = self.now + IDLE_TIMEOUT;
                self.schedule(at, end.to, Happening::lost(end.peer));
                // After whatever was still on its way when the machine fell asleep.
                self.schedule(self.now + span + 1, n, Happening::lost(conn));
            }
        }
        // Whatever it had planned, it looks at the clock when it wakes.
        self.tick_at(n, self.now + span);
    }

    /// A flipped bit was found: the store refuses to go on. The node stays down until somebody
    /// starts it; then it has an empty disk.
    pub(crate) fn replace_disk(&mut self, n: usize) {
        self.fault("flipped bit found");
        self.down(n);
        self.wipe(n);
    }

    /// The disk of a node that is down is replaced by an empty one.
    pub fn wipe(&mut self, n: usize) {
        self.fault("disk replaced");
        assert!(self.nodes[n].engine.is_none(), "node {n} is up");
        let disk = Disk::joined(&self.params, &self.nodes[n].introduction);
        self.nodes[n].disk = disk;
        self.nodes[n].acknowledged.clear();
        self.nodes[n].wiped = true;
    }

    /// A bit of a row flips; the `reads`th read of the table finds it.
    pub fn rot(&mut self, n: usize, table: Table, reads: u32) {
        self.fault("flipped bit");
        self.nodes[n].disk.rot(table, reads);
    }

    /// Nothing passes between two nodes any more.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Nothing passes from one node to another any more; unless it heals soon, their links die.
    pub fn cut_one_way(&mut self, a: usize, b: usize) {
        self.fault("one-way cut");
        self.order += 1;
        let number = self.order;
        self.cut.insert((a, b), number);
        for (from, to) in [(a, b), (b, a)] {
            for conn in self.conns_between(from, to) {
                let what = Happening::IdleOut(conn, (a, b), number);
                self.schedule(self.now + IDLE_TIMEOUT, from, what);
            }
        }
    }

    fn conns_between(&self, from: usize, to: usize) -> Vec<cairn_core::engine::ConnId> {
        let ends = self.nodes[from].ends.iter();
        ends.filter(|(_, end)| end.to == to).map(|(conn, _)| *conn).collect()
    }

    /// Cuts every link between the two groups.
    pub fn split(&mut self, left: &[usize], right: &[usize]) {
        for a in left {
            for b in right {
                self.cut(*a, *b);
            }
        }
    }

    /// Everybody can reach everybody again; what waited arrives.
    pub fn heal(&mut self) {
        self.cut.clear();
        for (n, conn, frame) in std::mem::take(&mut self.stalled) {
            self.send(n, conn, frame);
        }
    }

    /// Every connection between two nodes breaks; both ends notice.
    pub fn sever(&mut self, a: usize, b: usize) {
        self.fault("connection broken");
        for (from, to) in [(a, b), (b, a)] {
            for conn in self.conns_between(from, to) {
                let at = self.now + self.between((0, 2_000));
                self.schedule(at, from, Happening::lost(conn));
            }
        }
    }

    /// Sets whether there is room on a node's disk.
    pub fn fill_disk(&mut self, n: usize, full: bool) {
        if full {
            self.fault("disk full");
        }
        self.nodes[n].disk.full = full;
    }
}
