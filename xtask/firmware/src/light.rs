//! The header-only client: a chain of headers followed in fixed memory, and a fact shown to be in it.

use cairn_core::block::{ChainEnd, Header, facts_root};
use cairn_core::id::FactId;
use cairn_core::light::LightClient;
use cairn_core::merkle;
use cairn_core::params::Params;
use cairn_core::seal::authority;
use cairn_core::signature::SigningKey;
use cairn_core::time::UnixTime;
use cairn_core::verified::Unverified;

const FACTS: [FactId; 3] = [FactId([1; 32]), FactId([2; 32]), FactId([3; 32])];

type Client = LightClient<4, 1>;

fn start() -> (SigningKey, Params, Client) {
    let key = SigningKey::from_seed([1; 32]);
    let params = Params::private("board", &[key.node_id()], UnixTime(0)).expect("a short name");
    let genesis = ChainEnd::genesis(&params);
    let client = Client::new(params.clone(), genesis, &params.roots).expect("genesis is trusted");
    (key, params, client)
}

fn next(client: &Client, key: &SigningKey, spacing: u64) -> Header {
    let end = client.end();
    let header = Header {
        height: end.header.height.next(),
        parent: end.id,
        facts_root: facts_root(&FACTS),
        history_root: end.history.root(),
        time: end.header.time.after(spacing),
        ..end.header.clone()
    };
    authority::seal(header, key)
}

/// Four headers are followed; then a fact of the last and the block before it are proved, and
/// neither proof holds for anything else.
pub fn follows_and_is_shown() -> bool {
    let (key, params, mut client) = start();
    let mut ids = [client.end().id; 4];
    for id in &mut ids {
        *id = client.end().id;
        let header = next(&client, &key, params.spacing);
        if client.accept(Unverified(header), None).is_err() {
            return false;
        }
    }
    let height = client.end().header.height;
    let Ok(fact) = merkle::inclusion_proof(1, 3, merkle::nodes_of(&FACTS));
    let Ok(block) = merkle::inclusion_proof(3, 4, merkle::nodes_of(&ids));
    client.proves_fact(&FACTS[1], height, (1, 3), &fact)
        && !client.proves_fact(&FACTS[2], height, (1, 3), &fact)
        && client.proves_block(&ids[3], cairn_core::work::Height(3), &block)
        && !client.proves_block(&ids[2], cairn_core::work::Height(3), &block)
}

/// A stranger's seal, and a sealer in a hurry.
pub fn refuses_bad_headers() -> bool {
    let (key, params, mut client) = start();
    let stranger = next(&client, &SigningKey::from_seed([2; 32]), params.spacing);
    let early = next(&client, &key, params.spacing - 1);
    client.accept(Unverified(stranger), None).is_err()
        && client.accept(Unverified(early), None).is_err()
        && client.end().header.height.0 == 0
}
