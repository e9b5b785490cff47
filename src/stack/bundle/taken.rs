//! Reading what a walk has found, which may be thousands of files.

use std::fs;
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::BundleError;

/// How many files are read at once.
const AT_ONCE: usize = 8;

/// So few are read one after the other.
const FEW: usize = 200;

/// A file that is sent.
pub(super) struct Taken {
    /// Where it really is.
    pub there: PathBuf,
    /// Its size when the walk came upon it, in bytes.
    pub size: u64,
    /// Its permission bits here.
    pub mode: u32,
}

impl Taken {
    pub(super) fn new(there: PathBuf, metadata: &fs::Metadata) -> Self {
        Self { there, size: metadata.len(), mode: metadata.permissions().mode() }
    }

    /// Its content, by one call where it has the size that was measured.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(&self.there)?;
        let size = usize::try_from(self.size).map_err(|_| ErrorKind::FileTooLarge)?;
        let mut content = vec![0; size];
        let mut filled = 0;
        while let Some(rest) = content.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read(rest) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        content.truncate(filled);
        Ok(content)
    }
}

/// Does something with each item on several processors where there are many; in their order.
pub(super) fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    each: impl Fn(&T) -> Result<R, BundleError> + Sync,
) -> Result<Vec<R>, BundleError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE);
    if items.len() <= FEW || threads == 1 {
        return items.iter().map(each).collect();
    }
    let each = &each;
    std::thread::scope(|scope| {
        let parts: Vec<_> = items
            .chunks(items.len().div_ceil(threads))
            .map(|part| scope.spawn(move || part.iter().map(each).collect::<Result<Vec<_>, _>>()))
            .collect();
        let mut all = Vec::with_capacity(items.len());
        for part in parts {
            all.append(&mut part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}
