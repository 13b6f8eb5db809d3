//! File systems that cannot hold a database.
//!
//! SQLite's write-ahead log needs memory that all its processes share. Network file systems do not
//! have that (sqlite.org/wal.html: "WAL does not work over a network filesystem"). Some seem to work
//! until data is lost.

use std::io;
use std::path::Path;

/// Magic numbers of statfs(2), as linux/magic.h and the file systems' own headers have them.
const UNSUITABLE: [(u32, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x00c3_6400, "CephFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
];

/// The magic number of the file system under `path`.
pub(crate) fn magic(path: &Path) -> io::Result<u32> {
    Ok(rustix::fs::statfs(path)?.f_type as u32)
}

/// The name of the file system, if it cannot hold a database.
pub(crate) fn unsuitable(magic: u32) -> Option<&'static str> {
    UNSUITABLE
        .iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_from_disks() {
        assert_eq!(unsuitable(0x6969), Some("NFS"));
        assert_eq!(unsuitable(0xff53_4d42), Some("CIFS"));
        // ext4, XFS, Btrfs, tmpfs, overlayfs, ZFS.
        for disk in [
            0xef53,
            0x5846_5342,
            0x9123_683e,
            0x0102_1994,
            0x794c_7630,
            0x2fc1_2fc1,
        ] {
            assert_eq!(unsuitable(disk), None, "{disk:x}");
        }
    }

    #[test]
    fn a_temporary_directory_will_do() {
        assert_eq!(unsuitable(magic(&std::env::temp_dir()).unwrap()), None);
    }
}
