//! A small filesystem in memory, to be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Bytes written at one time.
const PIECE: usize = 256 * 1024;

/// A mounted filesystem, gone with this value.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of this size (`12m`); none where this process may not mount.
    pub fn mount(at: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&at)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it larger.
    pub fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.unwrap().success());
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills it until at most so many bytes are free.
    pub fn fill(&self, leave: u64) {
        use std::io::Write as _;
        let mut options = fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(self.filler()).unwrap();
        let piece = vec![1; PIECE];
        loop {
            let fs = rustix::fs::statvfs(&self.0).unwrap();
            let free = (fs.f_bavail * fs.f_frsize).saturating_sub(leave);
            let length = piece.len().min(free as usize);
            if length == 0 || file.write_all(&piece[..length]).is_err() {
                return;
            }
        }
    }

    /// Takes back what `fill` wrote.
    pub fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, as a process that a failed test leaves may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
