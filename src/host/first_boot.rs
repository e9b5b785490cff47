//! A server that provisions itself, started by its own cloud-init.

/// The units in which cloud-init runs what user-data says, by version, and our own behind a reboot.
const UNITS: [&str; 3] =
    ["/cloud-final.service", "/cloud-init-main.service", "/provision-first-boot.service"];

/// Where cloud-init writes down the logins that it has made with sudo.
const SUDOERS: &str = "/etc/sudoers.d/90-cloud-init-users";

/// Whether we are part of this machine's first boot: waiting for cloud-init would be for ever.
pub fn is_first_boot() -> bool {
    std::fs::read_to_string("/proc/self/cgroup").is_ok_and(|text| is_of_first_boot(&text))
}

fn is_of_first_boot(cgroups: &str) -> bool {
    cgroups.lines().any(|line| UNITS.iter().any(|unit| line.ends_with(unit)))
}

/// The login that cloud-init has made for who administers this machine.
pub fn administrator() -> Option<String> {
    first_login(&std::fs::read_to_string(SUDOERS).ok()?)
}

fn first_login(sudoers: &str) -> Option<String> {
    let mut names = sudoers.lines().filter_map(|line| line.split_once(" ALL=")).map(|(name, _)| name.trim());
    names.find(|name| !name.is_empty() && !name.starts_with(['#', '%'])).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_started_us() {
        for (cgroups, expected) in [
            ("0::/system.slice/cloud-final.service\n", true),
            ("0::/system.slice/cloud-init-main.service\n", true),
            ("12:pids:/system.slice/provision-first-boot.service\n1:name=systemd:/x\n", true),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", false),
            ("0::/system.slice/cloud-final.service.d\n", false),
            ("", false),
        ] {
            assert_eq!(is_of_first_boot(cgroups), expected, "{cgroups}");
        }
    }

    #[test]
    fn finds_the_login_that_cloud_init_made() {
        let text = "# Created by cloud-init v. 25.1.4\n\n# User rules for debian\ndebian ALL=(ALL) NOPASSWD:ALL\n\n\
                    # User rules for ann\nann ALL=(ALL) NOPASSWD:ALL\n";
        assert_eq!(first_login(text).as_deref(), Some("debian"));
        assert_eq!(first_login("%admin ALL=(ALL) ALL\n# x ALL=(ALL) ALL\n"), None);
        assert_eq!(first_login(""), None);
    }
}
