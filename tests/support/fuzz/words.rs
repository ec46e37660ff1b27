//! What people write: arguments of the command line, addresses, files of seed peers.

use std::sync::OnceLock;

use cairn_core::conn::PeerAddr;
use cairn_core::engine::{Config, Engine, Input, Output};
use cairn_core::id::MeshId;
use cairn_core::testing::{MemStore, TestLedger, TestNode, params};
use cairn_core::time::{Instant, Now, UnixTime};
use cairn_node::api::guard::is_own_host;
use cairn_node::app::NodeConfig;
use cairn_node::cli::{duration, run, seeds, size};

/// One argument, read as each kind there is: what is understood says the same when it is printed.
pub(super) fn argument(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(peer) = seeds::peer(&text) {
        assert_eq!(seeds::peer(&peer), Ok(peer.clone()));
        assert!(peer.is_ascii() && !peer.contains(char::is_whitespace), "{peer}");
    }
    if let Ok(address) = run::any_address(&text) {
        assert_eq!(run::any_address(&address.to_string()), Ok(address));
    }
    if let Ok(span) = duration::parse(&text) {
        assert_eq!(duration::parse(&format!("{}ms", span.as_millis())), Ok(span));
    }
    if let Ok(bytes) = size::bytes(&text) {
        assert_eq!(size::bytes(&bytes.to_string()), Ok(bytes));
        assert_eq!(size::bytes(&format!("{bytes}B")), Ok(bytes));
    }
    let bound = "127.0.0.1:7070".parse().unwrap();
    if is_own_host(&text, bound) {
        let name = text.rsplit_once(':').map_or(&*text, |(name, _)| name);
        let own = ["127.0.0.1", "[127.0.0.1]", "[::1]"];
        assert!(own.contains(&name) || name.eq_ignore_ascii_case("localhost"), "{text}");
    }
}

/// A file of seed peers: what is believed of it can be dialed, and its limits hold together.
pub(super) fn seed_file(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(file) = seeds::SeedFile::parse(&text) else { return };
    let mut config = NodeConfig::new("/nowhere");
    file.apply(&mut config);
    for seed in &config.seeds {
        assert_eq!(seeds::peer(seed).as_ref(), Ok(seed));
    }
    let limits = &config.limits;
    assert!(limits.outbound_wanted <= limits.outbound_max);
    assert!(limits.hello_timeout > 0 && limits.dial_interval > 0);
    lives_with(&config);
}

/// An engine with these seeds and limits dials and gives up, again and again, for ages.
fn lives_with(config: &NodeConfig) {
    static STORE: OnceLock<(TestNode, TestLedger)> = OnceLock::new();
    let (key, ledger) = STORE.get_or_init(|| {
        let key = TestNode::new(1, MeshId::ZERO);
        let ledger = TestLedger::new(params(&[&key]));
        (key, ledger)
    });
    let engine = Config {
        params: ledger.params.clone(),
        key: key.key.clone(),
        limits: config.limits.clone(),
        seed: [7; 32],
        seal_blocks: false,
        port: 7071,
        agent: String::new(),
        dial: Vec::new(),
        seeds: config.seeds.iter().cloned().map(PeerAddr).collect(),
    };
    let at =
        |instant| Now { instant: Instant(instant), wall: UnixTime(instant), wall_confirmed: true };
    let view: &MemStore = &ledger.store;
    let mut engine = Engine::new(engine, view, at(0)).expect("the store is whole");
    for instant in [0, 1_000, 60_000, 1 << 40, u64::MAX - 1] {
        let mut inputs = vec![Input::Tick];
        while let Some(input) = inputs.pop() {
            engine.handle_input(at(instant), input, view).expect("the store is whole");
            while let Some(output) = engine.poll_output() {
                if let Output::Dial(dial, ..) = output {
                    inputs.push(Input::DialFailed(dial));
                }
            }
        }
    }
}
