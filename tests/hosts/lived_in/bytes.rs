//! A server that others live on: what is not ours has the same bytes after `up` as before.

use std::collections::BTreeMap;

use libtest_mimic::Failed;

use crate::lab::{Folder, Host, Layer};

/// What a year of others has left on a host: a project by hand, a service unit, cron jobs, a broken
/// source, a held package, ufw's rules and those of another program, a network in Docker's range.
const YEAR: &str = r#"
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get install -q -y --no-install-recommends ufw cron curl ca-certificates
echo 'deb http://10.91.0.1:8080/gone/pve trixie pve-enterprise' >/etc/apt/sources.list.d/pve-enterprise.list
apt-mark hold cron openssh-server
printf 'Package: nano\nPin: release *\nPin-Priority: -1\n' >/etc/apt/preferences.d/no-nano
useradd -m -s /bin/bash ann
printf 'alias ll="ls -l"\n' >>/home/ann/.bashrc
mkdir -p /home/ann/.ssh && printf 'ssh-ed25519 AAAA ann\n' >/home/ann/.ssh/authorized_keys && chown -R ann: /home/ann
printf '*/5 * * * * ann /usr/local/bin/report\n' >/etc/cron.d/report
printf '0 3 * * * /usr/local/bin/report --daily\n' | crontab -u ann -
printf '#!/bin/sh\necho report\n' >/usr/local/bin/report && chmod 755 /usr/local/bin/report
printf '[Unit]\nDescription=their own\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' \
    >/etc/systemd/system/theirs.service
systemctl enable --now theirs.service
printf '\n# edited by hand\nvm.swappiness = 7\n' >/etc/sysctl.d/60-theirs.conf
printf '10.91.0.1 mirror.internal # ours\n' >>/etc/hosts
mkdir -p /opt/theirs /srv/theirs/data /srv/www && printf 'secret\n' >/opt/theirs/token && chmod 600 /opt/theirs/token
printf 'a page\n' >/srv/www/index.html && ln -s /srv/www /srv/theirs/link
printf 'export EDITOR=vi\n' >>/root/.profile
cat >/srv/theirs/compose.yaml <<'YAML'
services:
  web:
    image: nginx:1.27
    ports: ["9090:80"]
    restart: unless-stopped
    volumes: ["./data:/usr/share/nginx/html:ro", "kept:/kept"]
volumes: {kept: {}}
networks: {default: {ipam: {config: [{subnet: 172.19.0.0/16}]}}}
YAML
printf 'their page\n' >/srv/theirs/data/index.html
(cd /srv/theirs && docker compose up -d)
docker exec theirs-web-1 sh -c 'echo data >/kept/row'
docker network create --subnet 172.23.0.0/16 second
docker run -d --name lone --network second --restart unless-stopped nginx:1.27
ufw allow 22/tcp
ufw allow from 10.91.0.0/16 to any port 9090 proto tcp comment 'theirs'
ufw deny from 198.51.100.7
ufw --force enable
iptables -t mangle -N THEIRS
iptables -t mangle -A THEIRS -p tcp --dport 9999 -j ACCEPT
iptables -t mangle -A INPUT -j THEIRS
apt-get -q update || true
"#;

/// The application that comes to it.
const NEWCOMER: &str = r#"
name: newcomer
services:
  web:
    image: nginx:1.27
    ports: ["8080:80"]
    restart: unless-stopped
"#;

/// Each path below the folders of others, with its kind, mode, owner, times and content.
const FILES: &str = r#"
for top in /etc /srv /home /opt /usr/local /root /var/spool/cron; do
    [ -e "$top" ] || continue
    find "$top" -xdev -printf '%p\t%y %m %U:%G %l %T@\n' | sed 's/\(.*\)\tf /\1\tf /'
    find "$top" -xdev -type f -exec sha256sum {} + | sed 's/^\([0-9a-f]*\)  \(.*\)$/\2\tsum \1/'
done | sort
"#;

/// What else there is, by names of its own.
const REST: &str = r#"
echo 'other containers'; docker inspect -f '{{.Id}} {{.Name}} {{.State.StartedAt}} {{.RestartCount}} {{json .NetworkSettings.Networks}} {{json .HostConfig}}' theirs-web-1 lone
echo 'other networks'; docker network inspect -f '{{.Id}} {{.Name}} {{json .IPAM}}' theirs_default second
echo 'volumes'; docker volume inspect -f '{{json .}}' theirs_kept
docker exec theirs-web-1 cat /kept/row /usr/share/nginx/html/index.html
echo 'engine'; systemctl show docker containerd -p ActiveEnterTimestampMonotonic -p MainPID
echo 'units'; systemctl show theirs cron ssh -p ActiveEnterTimestampMonotonic -p MainPID -p UnitFileState
echo 'held'; apt-mark showhold; echo 'packages'; dpkg-query -W -f '${Package} ${Version} ${Status}\n'
echo 'manual'; apt-mark showmanual
echo 'crontab'; crontab -u ann -l
echo 'logins'; getent passwd; getent group
echo 'chain of theirs'; iptables -t mangle -S THEIRS; iptables -t mangle -S INPUT | grep -v ' PROVISION-INPUT$'
echo 'sysctl'; cat /proc/sys/net/ipv4/ip_forward /proc/sys/vm/swappiness
"#;

/// ufw's rules, and how it stands.
const UFW: &str = "ufw status verbose; ufw show added";

/// What any login by ssh and sudo leaves, also for a plan.
const SUDO: [(&str, &str); 1] =
    [("/home/deploy/.sudo_as_admin_successful", "sudo notes that the login has used it")];

/// What may differ, each with its reason; a name that ends in `/` is all that is below it.
const OURS: [(&str, &str); 8] = [
    SUDO[0],
    ("/etc/provision/", "provision's own: settings and secrets"),
    ("/srv/newcomer/", "the stack's own folder"),
    ("/etc/group", "the login's membership in docker, which the plan names"),
    ("/etc/gshadow", "the same membership"),
    ("/etc/gshadow-", "its former copy"),
    ("/etc/docker/daemon.json", "the lab's registry mirror, asked for in provision.toml"),
    ("/etc/group-", "groupadd's copy of the former file"),
];

/// The same, where the firewall is asked to let something in.
const OURS_OF_UFW: [(&str, &str); 9] = [
    ("/etc/default/ufw", "the same bytes with another time: `ufw default` writes it again"),
    ("/etc/ufw/after.rules", "the same bytes with another time: `ufw default` writes it again"),
    ("/etc/ufw/after6.rules", "the same for IPv6"),
    ("/etc/ufw/ufw.conf", "the same bytes with another time: `ufw enable` writes it again"),
    ("/etc/ufw/user.rules", "ufw's own list of rules, with one more for 8080"),
    ("/etc/ufw/user6.rules", "the same for IPv6"),
    ("/etc/ufw/provision", "the rules for containers, provision.rules and provision6.rules"),
    ("/etc/ufw/after.init", "loads them"),
    ("/etc/ufw/before.init", "shuts the moment of a reload"),
];

/// Path to what is known of it.
fn files(host: &Host) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for line in host.inside(FILES).lines() {
        let (path, what) = line.split_once('\t').expect("a path and what is known of it");
        let entry = found.entry(path.to_owned()).or_default();
        entry.push_str(what);
        entry.push(' ');
    }
    found
}

/// The differences between two states of a host's files, without what is ours.
fn differences(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
    ours: &[(&str, &str)],
) -> Vec<String> {
    let is_ours = |path: &str| {
        ours.iter().any(|(name, _)| match name.strip_suffix('/') {
            Some(folder) => path == folder || path.starts_with(name),
            None => path == *name || (*name == "/etc/ufw/provision" && path.starts_with(name)),
        })
    };
    // A folder's time says that something in it came or went: what did is looked at itself.
    let known = |what: &String| match what.strip_prefix("d ") {
        Some(folder) => folder.rsplit_once(' ').map_or(folder.to_owned(), |(rest, _)| {
            rest.rsplit_once(' ').map_or(rest, |(rest, _)| rest).to_owned()
        }),
        None => what.clone(),
    };
    let paths: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| !is_ours(path))
        .filter_map(|path| {
            let (was, is) = (before.get(path).map(known), after.get(path).map(known));
            (was != is).then(|| format!("{path}: {was:?} -> {is:?}"))
        })
        .collect()
}

/// Lines that came or went.
fn changed(before: &str, after: &str) -> Vec<String> {
    let gone = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let come = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    gone.map(|line| format!("- {line}")).chain(come.map(|line| format!("+ {line}"))).collect()
}

/// A stack comes, with and without a firewall of its own, and goes on; the rest stays as it was.
pub(super) fn every_byte() -> Result<(), Failed> {
    let host = Host::on(Layer::DebianImages);
    host.inside(YEAR);
    let folder = Folder::empty();
    folder.write("compose.yaml", NEWCOMER);
    let look = || (files(&host), host.inside(REST), host.inside(UFW));
    let before = look();

    // A plan changes nothing at all.
    let plan = folder.provision(&["plan", &host.name]);
    plan.expect(0);
    let after = look();
    assert_eq!(differences(&before.0, &after.0, &SUDO), Vec::<String>::new(), "after plan");
    assert_eq!((&before.1, &before.2), (&after.1, &after.2), "after plan");

    folder.provision(&["up", "--yes", &host.name]).expect(0);
    let after = look();
    assert_eq!(differences(&before.0, &after.0, &OURS), Vec::<String>::new(), "after up");
    for line in changed(&before.1, &after.1) {
        // The login that provision uses is a member of docker now.
        assert!(line.contains(" docker:x:"), "after up: {line}");
    }
    assert_eq!(before.2, after.2, "without `allow` ufw stays as it is");
    assert!(host.get(9090)?.contains("their page"));

    // A firewall of its own: what others serve has to be named, and their rules stay.
    folder.settings("[steps.firewall]\nallow = [8080]\n");
    let did = folder.provision(&["up", "--yes", &host.name]);
    did.expect(3).said(&["9090"]);
    let refused = look();
    assert_eq!(differences(&after.0, &refused.0, &[]), Vec::<String>::new(), "after a refusal");
    assert_eq!((&after.1, &after.2), (&refused.1, &refused.2), "after a refusal");
    folder.settings("[steps.firewall]\nallow = [8080, 9090]\n");
    folder.provision(&["up", "--yes", &host.name]).expect(0);
    let opened = look();
    let ours = [OURS.as_slice(), OURS_OF_UFW.as_slice()].concat();
    assert_eq!(differences(&after.0, &opened.0, &ours), Vec::<String>::new(), "after a firewall");
    assert_eq!(changed(&after.1, &opened.1), Vec::<String>::new(), "after a firewall");
    for line in changed(&after.2, &opened.2) {
        assert!(line.starts_with("+ ") && line.contains("provision"), "a rule of others: {line}");
    }
    assert!(host.get(9090)?.contains("their page"));
    assert!(host.get(8080)?.contains("nginx"));

    // And again: nothing at all.
    folder.provision(&["up", "--yes", &host.name]).expect(0).said(&["nothing to change"]);
    let again = look();
    assert_eq!(differences(&opened.0, &again.0, &[]), Vec::<String>::new(), "after nothing");
    assert_eq!((&opened.1, &opened.2), (&again.1, &again.2), "after nothing");
    Ok(())
}
