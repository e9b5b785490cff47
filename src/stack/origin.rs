//! Where a stack comes from, in a line that is the same on each computer from which it is sent.

use std::path::{Path, PathBuf};

/// The repository and the folder in it; without git, the computer and the folder.
#[must_use]
pub fn of(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    repository(&folder).unwrap_or_else(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match host.trim() {
            "" => folder.display().to_string(),
            host => format!("{} on {host}", folder.display()),
        }
    })
}

/// Whether an origin is another one for sure: a repository of another name, another folder of the same
/// repository, or of this computer where that still has a project. Of other computers, and of repositories
/// of the same name, it is not known: one may have been moved, or be a fork.
#[must_use]
pub fn is_another(former: &str, now: &str, folder: &Path) -> bool {
    if former == now {
        return false;
    }
    if let (Some((old, within)), Some((new, within_now))) = (in_repository(former), in_repository(now)) {
        let name = |address: &str| address.rsplit('/').next().map(str::to_owned);
        return name(&old) != name(&new) || old == new && within != within_now;
    }
    let here = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let Some((path, _)) = former.rsplit_once(" on ").filter(|(_, host)| *host == here.trim()) else {
        return false;
    };
    let path = Path::new(path);
    path.is_absolute()
        && super::compose::is_project(path)
        && path.canonicalize().ok() != folder.canonicalize().ok()
}

/// The address of a repository, however it is reached, and the folder in it; none where an origin is a
/// folder of a computer.
fn in_repository(origin: &str) -> Option<(String, &str)> {
    let (address, within) = match origin.strip_suffix(')').and_then(|origin| origin.rsplit_once(" (")) {
        Some((address, within)) => (address, within),
        None => (origin, ""),
    };
    if address.starts_with('/') {
        return None;
    }
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    // `git@git.example:ann/shop.git`.
    let address = address.split_once('@').map_or(address, |(_, rest)| rest).replace(':', "/");
    let address = address.trim_end_matches('/').trim_end_matches(".git").to_lowercase();
    Some((address, within))
}

fn repository(folder: &Path) -> Option<String> {
    let root = folder.ancestors().find(|above| above.join(".git").exists())?;
    let config = std::fs::read_to_string(git_folder(root)?.join("config")).ok()?;
    let address = address(&config)?;
    let within = folder.strip_prefix(root).ok()?;
    Some(match within.as_os_str().is_empty() {
        true => address,
        false => format!("{address} ({})", within.display()),
    })
}

/// `.git` is a file in further work trees, which names the folder of one of the first.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = std::fs::read_to_string(&git).ok()?;
    let named = root.join(text.strip_prefix("gitdir:")?.trim());
    named
        .ancestors()
        .find(|above| above.file_name().is_some_and(|name| name == ".git"))
        .map(Path::to_path_buf)
}

/// The address of the remote `origin`, without a login that may stand in it.
fn address(config: &str) -> Option<String> {
    let section = config
        .split("\n[")
        .find(|section| section.trim_start_matches('[').starts_with("remote \"origin\"]"))?;
    let url = section
        .lines()
        .find_map(|line| line.trim().strip_prefix("url")?.trim_start().strip_prefix('='))?
        .trim();
    let shown = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (login, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = login.rsplit('@').next().unwrap_or(login);
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    };
    Some(shown.chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_one_address_everywhere() {
        let config = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://ann:token@git.example/shop.git\n\tfetch = x\n";
        assert_eq!(address(config).as_deref(), Some("https://git.example/shop.git"));
        let config = "[remote \"other\"]\n\turl = x\n[remote \"origin\"]\n\turl = git@git.example:shop.git\n";
        assert_eq!(address(config).as_deref(), Some("git@git.example:shop.git"));
        assert_eq!(address("[core]\n"), None);
    }

    #[test]
    fn another_folder_is_known_for_sure() {
        let repository = "https://git.example/all.git";
        let nowhere = Path::new("/nowhere");
        for (former, now, is_other) in [
            (format!("{repository} (blog)"), format!("{repository} (wiki)"), true),
            (repository.to_owned(), format!("{repository} (wiki)"), true),
            (format!("{repository} (blog)"), repository.to_owned(), true),
            (format!("{repository} (blog)"), format!("{repository} (blog)"), false),
            (repository.to_owned(), "git@git.example:all.git".to_owned(), false),
            (repository.to_owned(), "ssh://git@git.example/all/".to_owned(), false),
            (format!("{repository} (blog)"), "git@git.example:all.git (wiki)".to_owned(), true),
            ("https://git.example/ann/shop".to_owned(), "git@git.example:team/shop.git".to_owned(), false),
            ("https://git.example/ann/shop".to_owned(), "https://git.example/ann/blog".to_owned(), true),
            ("/home/ann/blog on other".to_owned(), repository.to_owned(), false),
            ("/home/ann/blog on other".to_owned(), "/home/ann/wiki on here".to_owned(), false),
        ] {
            assert_eq!(is_another(&former, &now, nowhere), is_other, "{former} → {now}");
        }
        let place = tempfile::TempDir::new().expect("a folder");
        let (blog, wiki) = (place.path().join("blog"), place.path().join("wiki on paper"));
        for folder in [&blog, &wiki] {
            std::fs::create_dir(folder).expect("a folder");
            std::fs::write(folder.join("compose.yaml"), "services: {}\n").expect("a file");
        }
        assert!(is_another(&of(&blog), &of(&wiki), &wiki));
        assert!(is_another(&of(&wiki), &of(&blog), &blog));
        assert!(!is_another(&of(&blog), &of(&blog), &blog));
        let before = of(&blog);
        std::fs::rename(&blog, place.path().join("moved")).expect("it moves");
        let moved = place.path().join("moved");
        assert!(!is_another(&before, &of(&moved), &moved), "it is there no more");
    }

    #[test]
    fn a_folder_in_a_repository() {
        let place = tempfile::TempDir::new().expect("a folder");
        let folder = place.path().join("deploy/docker");
        std::fs::create_dir_all(&folder).expect("a folder");
        assert!(of(&folder).contains("deploy/docker"), "{}", of(&folder));
        std::fs::create_dir(place.path().join(".git")).expect("a folder");
        std::fs::write(place.path().join(".git/config"), "[remote \"origin\"]\nurl=https://git.example/a\n")
            .expect("a file");
        assert_eq!(of(&folder), "https://git.example/a (deploy/docker)");
    }
}
