//! strace around a node: it dies, or an operation fails, at a system call that the test chooses, or
//! everything it does to its files is recorded.
//!
//! strace runs beside the node (`-D`), so the node stays a child of the test, and its exit status
//! is its own. It counts calls for each thread apart: "the third" is the first third of any thread.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::eventually;

/// What a node does to files, and its answers to clients.
const RECORDED: &str = "openat,?open,?creat,close,write,writev,pwrite64,sendto,lseek,?dup,?dup2,\
                        dup3,fcntl,fsync,fdatasync,ftruncate,?rename,?renameat,renameat2,?mkdir,\
                        mkdirat,?unlink,unlinkat,?rmdir,?link,linkat,fallocate,copy_file_range,\
                        sendfile,pwritev,pwritev2,sync_file_range,truncate";

/// Whether programs can be traced here. Says so if not: the caller then checks nothing.
pub fn works() -> bool {
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"]);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        eprintln!("\n*** NOT CHECKED: strace is missing, or tracing is forbidden here.");
        eprintln!("*** apt-get install strace; containers need --cap-add=SYS_PTRACE");
    }
    works
}

fn strace(output: &Path, args: &[&str]) -> Vec<String> {
    let output = output.to_str().unwrap();
    let common = ["strace", "-D", "-f", "-q", "-o", output];
    common.iter().chain(args).map(|arg| (*arg).to_string()).collect()
}

/// Ends the node by SIGKILL where a thread is about to make this call for the `nth` time.
pub fn kill_at(call: &str, nth: usize) -> Vec<String> {
    let inject = format!("inject={call}:signal=KILL:when={nth}");
    strace(Path::new("/dev/null"), &["-e", &format!("trace={call}"), "-e", &inject])
}

/// Lets this call fail with an error from the `nth` time on, on this file if one is given.
pub fn fail_from(call: &str, error: &str, nth: usize, file: Option<&Path>) -> Vec<String> {
    let inject = format!("inject={call}:error={error}:when={nth}+");
    let trace = format!("trace={call}");
    let mut args = vec!["-e", &trace, "-e", &inject];
    if let Some(file) = file {
        args.extend(["-P", file.to_str().unwrap()]);
    }
    strace(Path::new("/dev/null"), &args)
}

/// Writes every call that matters to a file, with all bytes.
pub fn record(to: &Path) -> Vec<String> {
    strace(to, &["-xx", "-s", "100000000", "-e", &format!("trace={RECORDED}")])
}

/// The whole record of a node that has ended by itself.
pub fn recorded(trace: &Path) -> String {
    // strace writes its last lines when the node is gone.
    eventually("the record is complete", 20, || {
        let text = fs::read_to_string(trace).unwrap();
        text.trim_end().ends_with("+++ exited with 0 +++").then_some(text)
    })
}
