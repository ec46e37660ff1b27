//! What a microcontroller does with Cairn, run on an emulated Cortex-M4: no allocator, no operating
//! system, the same code and the same golden bytes as the node. The exit status is the test's.
//!
//! A check is a function in `CHECKS` that returns whether it holds; a panic is a failure too.

#![no_std]
#![no_main]

mod facts;
mod golden;
mod headers;
mod light;

use core::panic::PanicInfo;

use cortex_m_rt::entry;
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hprintln;

/// A name to print and what must hold.
type Check = (&'static str, fn() -> bool);

const CHECKS: &[Check] = &[
    ("golden facts of every kind verify", facts::golden_verify),
    ("a fact in another mesh is refused", facts::wrong_mesh_is_refused),
    ("a fact made here is the node's, byte for byte", facts::made_here_is_golden),
    ("one flipped bit is noticed", facts::flipped_bit_is_noticed),
    ("a hostile length is refused", facts::hostile_length_is_refused),
    ("golden headers have their ids", headers::golden_have_their_ids),
    ("golden seals hold: signature and work", headers::golden_seals_hold),
    ("another nonce has no work", headers::work_is_not_there_for_the_asking),
    ("a header chain is followed and proves a fact", light::follows_and_is_shown),
    ("bad headers are refused", light::refuses_bad_headers),
];

#[entry]
fn main() -> ! {
    let mut failed = 0;
    for (name, check) in CHECKS {
        let held = check();
        hprintln!("{} {}", if held { "ok    " } else { "FAILED" }, name);
        failed += u32::from(!held);
    }
    hprintln!("{} checks, {} failed", CHECKS.len(), failed);
    exit(failed == 0)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    hprintln!("{}", info);
    exit(false)
}

fn exit(ok: bool) -> ! {
    debug::exit(if ok { EXIT_SUCCESS } else { EXIT_FAILURE });
    // Only without a debugger on the other side.
    loop {
        cortex_m::asm::wfi();
    }
}
