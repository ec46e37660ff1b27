//! Two honest nodes in this process, and what must be true of them after an attack.

use std::time::{Duration, Instant};

use cairn_core::engine::{Published, State};
use cairn_core::id::{MeshId, NodeId};
use cairn_core::ledger::read::Read as _;
use cairn_core::limits::Limits;
use cairn_core::params::Params;
use cairn_core::signature::SigningKey;
use cairn_core::testing::{TestChain, TestNode};
use cairn_core::time::UnixTime;
use cairn_core::wire::CloseCode;
use cairn_node::api;
use cairn_node::app::{Node, NodeConfig};
use cairn_node::data_dir::DataDir;
use cairn_node::enroll;
use cairn_node::handle::{Draft, DraftBody};
use cairn_node::store::Profile;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Seeds of the attackers' keys; all of them are founders, so sealers and admins.
pub(crate) const MEMBERS: [[u8; 32]; 2] = [[66; 32], [67; 32]];
/// For anything that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until a condition holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The key of an attacker that belongs to the mesh.
pub(crate) fn member(n: usize, mesh: MeshId) -> TestNode {
    TestNode { key: SigningKey::from_seed(MEMBERS[n]), mesh }
}

/// A victim and an honest peer that is connected to it.
pub(crate) struct Scene {
    pub(crate) runtime: Runtime,
    pub(crate) victim: Option<Node>,
    honest: Option<Node>,
    pub(crate) params: Params,
    homes: [TempDir; 2],
    /// Ends the victim's HTTP.
    stop_http: watch::Sender<bool>,
}

impl Scene {
    /// Neither seals, so that the only blocks are an attacker's.
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// The same with other rules and limits.
    pub(crate) fn with(rules: impl FnOnce(&mut Params), tune: impl FnOnce(&mut Limits)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let homes = [(); 2].map(|()| TempDir::with_prefix("cairn-hostile-").unwrap());
        let dirs = homes.each_ref().map(|home| DataDir::new(home.path().join("data")));
        let mut roots: Vec<NodeId> = dirs.iter().map(identity).collect();
        roots.extend(MEMBERS.map(|seed| SigningKey::from_seed(seed).node_id()));
        let hour_ago = cairn_node::clock::wall().0 - 3_600_000;
        let mut params = Params::private("hostile", &roots, UnixTime(hour_ago)).unwrap();
        params.spacing = 1_000;
        rules(&mut params);
        for dir in &dirs {
            enroll::found(dir, params.clone(), Vec::new(), 9, UnixTime::MAX_VALID).unwrap();
        }
        // An attacker may try again at once: what is tested is each attack, not the ban after it.
        let mut limits = Limits { bans: (0, 0), ..Limits::default() };
        tune(&mut limits);
        let start = |dir: &DataDir, peers: Vec<String>| {
            let mut config = NodeConfig::new(dir.path());
            config.listen = ([127, 0, 0, 1], 0).into();
            config.http = Some(([127, 0, 0, 1], 0).into());
            config.peers = peers;
            config.seal = false;
            config.profile = Profile::Tiny;
            config.clock_vouched = true;
            config.verify_threads = 1;
            config.limits = limits.clone();
            runtime.block_on(Node::start(config)).unwrap()
        };
        let mut victim = start(&dirs[0], Vec::new());
        let stop_http = serve_http(&runtime, &mut victim);
        let honest = start(&dirs[1], vec![victim.mesh_address().to_string()]);
        let (victim, honest) = (Some(victim), Some(honest));
        let scene = Self { runtime, victim, honest, params, homes, stop_http };
        scene.in_sync();
        scene
    }

    pub(crate) fn victim(&self) -> &Node {
        self.victim.as_ref().unwrap()
    }

    pub(crate) fn honest(&self) -> &Node {
        self.honest.as_ref().unwrap()
    }

    pub(crate) fn victim_dir(&self) -> std::path::PathBuf {
        self.homes[0].path().join("data")
    }

    pub(crate) fn mesh(&self) -> MeshId {
        self.victim().handle().mesh()
    }

    /// A ledger without blocks for an attacker to build on.
    pub(crate) fn chain(&self) -> TestChain {
        TestChain::new(self.params.clone())
    }

    /// Whether a node has a fact.
    pub(crate) fn has(node: &Node, id: &cairn_core::id::FactId) -> bool {
        node.handle().view().fact_row(id).unwrap().is_some()
    }

    fn in_sync(&self) {
        until("the honest nodes agree", || {
            let [a, b] = [self.victim(), self.honest()].map(|node| node.handle().status());
            (a.facts, a.tip) == (b.facts, b.tip) && b.state == State::Synced
        });
    }

    /// The victim answers over HTTP, it writes, its honest peer hears of it, and neither blames the
    /// other.
    pub(crate) fn unharmed(&self) {
        let url = format!("http://{}/v1/status", self.victim().http_address().unwrap());
        assert_eq!(ureq::get(&url).call().unwrap().status(), 200);
        let text = format!("{:?}", Instant::now());
        let draft = Draft {
            time: None,
            body: DraftBody::Record {
                topic: "note".into(),
                media_type: "text/plain".into(),
                bytes: text.into_bytes(),
            },
        };
        let handle = self.victim().handle();
        let written = self.runtime.block_on(handle.sign_and_publish(vec![draft])).unwrap();
        let Ok(Published::Accepted(id)) = written[0] else { panic!("{written:?}") };
        until("the honest peer hears of it", || Self::has(self.honest(), &id));
        for (node, other) in [(self.victim(), self.honest()), (self.honest(), self.victim())] {
            let (peers, other) = (node.handle().peers(), other.handle().node_id());
            let peer = peers.iter().filter(|peer| peer.node == Some(other));
            for peer in peer {
                let blamed = matches!(peer.last_close, Some((CloseCode::Misbehavior, _)));
                assert!(!blamed, "{peer:?}");
            }
        }
    }

    /// The honest nodes end with the same facts and tip.
    pub(crate) fn agreed(&self) {
        self.unharmed();
        until("the honest nodes agree", || {
            let [a, b] = [self.victim(), self.honest()].map(|node| node.handle().status());
            (a.facts, a.tip) == (b.facts, b.tip)
        });
    }
}

fn serve_http(runtime: &Runtime, node: &mut Node) -> watch::Sender<bool> {
    let (stop_http, stop) = watch::channel(false);
    let listener = node.take_http().unwrap();
    let token = node.api_token().to_owned().into();
    let setup = api::Setup { node: node.handle(), token, listen: node.mesh_address(), stop };
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        api::serve(listener, setup).await.unwrap();
    });
    stop_http
}

fn identity(dir: &DataDir) -> NodeId {
    let _lock = dir.lock().unwrap();
    enroll::identity(dir).unwrap().node_id()
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.stop_http.send(true);
        for node in [self.honest.take(), self.victim.take()].into_iter().flatten() {
            // A test that failed tells why by itself.
            let _ = self.runtime.block_on(node.stop());
        }
    }
}
