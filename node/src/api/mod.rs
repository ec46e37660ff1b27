//! .
pub mod addresses;
pub mod dto;
pub mod guard;
pub mod lines;
pub mod query;
pub mod reply;
pub mod verify;
#[derive(Clone)]
pub struct Context;
impl Context { fn bound(&self) -> std::net::SocketAddr { todo!() }
fn token(&self) -> &str { "" } }
