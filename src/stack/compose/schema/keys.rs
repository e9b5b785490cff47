//! The keys of a Compose file and what may stand below them.
//!
//! The facts are those of the Compose Specification's schema of July 2026 (compose-go 2.10), which
//! has every key of the Composes before it, with the conversions that Compose makes of text: a
//! number or a truth value may come out of a variable.

/// What may stand below a key.
pub(super) enum ValueKind {
    /// Whatever there is.
    Any,
    /// Text; a number needs quotes.
    Text,
    /// Text of a length of time: `1m30s`.
    Duration,
    /// Text or a number of bytes: `512m`.
    Size,
    /// Text of a size, a number needs quotes.
    SizeText,
    /// `true` or `false`.
    Truth,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// A number that stands without quotes: Compose makes none of text.
    PlainNumber,
    /// A number; text has to be a whole one.
    Amount,
    /// A whole number that is not negative.
    Count,
    /// The same, without quotes.
    PlainCount,
    /// A whole number without quotes, text of one, or `all`.
    Devices,
    /// A file's permissions, as text in octal digits.
    Mode,
    /// When an image is pulled.
    PullPolicy,
    /// Text or a number.
    TextOrNumber,
    /// Text, a number, `true` or `false`, or nothing.
    Scalar,
    /// Text, `true` or `false`.
    TextOrTruth,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// A list.
    List(&'static ValueKind),
    /// A list in which nothing stands twice.
    Set(&'static ValueKind),
    /// A mapping with these keys; those of some may begin with `x-`.
    Keys(&'static Keys),
    /// A mapping with names of the person's own.
    Dict(&'static ValueKind),
    /// The same, with names made of letters, digits, `.`, `_` and `-`.
    Named(&'static ValueKind),
    /// The first that has the value's form.
    OneOf(&'static [ValueKind]),
    /// Nothing at all, or this.
    Optional(&'static ValueKind),
}

/// The keys of a mapping.
pub(super) struct Keys {
    /// What it is, as a person would say.
    pub what: &'static str,
    /// Each key and what may stand below it.
    pub keys: &'static [(&'static str, ValueKind)],
    /// Those that must be there.
    pub required: &'static [&'static str],
    /// Whether keys that begin with `x-` pass.
    pub extensible: bool,
}

use ValueKind::{
    Amount, Any, Count, Devices, Dict, Duration, Integer, Keys as Map, List, Mode, Named, Number, OneOf,
    Optional, PlainCount, PlainNumber, PullPolicy, Scalar, Set, Size, SizeText, Text, TextOrNumber,
    TextOrTruth, Truth, Word,
};

const fn keys(what: &'static str, keys: &'static [(&'static str, ValueKind)]) -> Keys {
    Keys { what, keys, required: &[], extensible: true }
}

const TEXTS: ValueKind = Set(&Text);
const TEXT_OR_TEXTS: ValueKind = OneOf(&[Text, TEXTS]);
const PAIRS: ValueKind = OneOf(&[Dict(&Scalar), TEXTS]);
/// Where Compose takes one name several times.
const LOOSE_PAIRS: ValueKind = OneOf(&[Dict(&Scalar), List(&Text)]);
const COMMAND: ValueKind = OneOf(&[Optional(&Text), List(&Text)]);
const OPTIONS: ValueKind = Dict(&TextOrNumber);
const HOSTS: ValueKind = OneOf(&[Dict(&OneOf(&[Text, List(&Text)])), TEXTS]);

/// The file itself.
pub(super) static FILE: Keys = keys(
    "a Compose file",
    &[
        ("configs", Named(&Map(&CONFIG))),
        ("include", List(&INCLUDED)),
        ("models", Named(&Map(&MODEL))),
        ("name", Text),
        ("networks", Dict(&Optional(&Map(&NETWORK)))),
        ("secrets", Named(&Map(&SECRET))),
        ("services", Named(&Map(&SERVICE))),
        ("version", Text),
        ("volumes", Named(&Optional(&Map(&VOLUME)))),
    ],
);

/// An item of `include`.
pub(super) const INCLUDED: ValueKind = OneOf(&[Text, Map(&INCLUDE)]);

static INCLUDE: Keys = Keys {
    extensible: false,
    ..keys(
        "an `include`",
        &[("env_file", OneOf(&[Text, List(&Text)])), ("path", TEXT_OR_TEXTS), ("project_directory", Text)],
    )
};

/// What a key of a service takes.
pub(super) fn of_a_service(key: &str) -> Option<&'static ValueKind> {
    let found = SERVICE.keys.binary_search_by_key(&key, |(known, _)| known).ok()?;
    Some(&SERVICE.keys[found].1)
}

static SERVICE: Keys = keys(
    "a service",
    &[
        ("annotations", PAIRS),
        ("attach", Truth),
        ("blkio_config", Map(&BLKIO)),
        ("build", OneOf(&[Text, Map(&BUILD)])),
        ("cap_add", TEXTS),
        ("cap_drop", TEXTS),
        ("cgroup", Word(&["host", "private"])),
        ("cgroup_parent", Text),
        ("command", COMMAND),
        ("configs", GIVEN),
        ("container_name", Text),
        ("cpu_count", Integer),
        ("cpu_percent", Number),
        ("cpu_period", Amount),
        ("cpu_quota", Amount),
        ("cpu_rt_period", Amount),
        ("cpu_rt_runtime", Amount),
        ("cpu_shares", Amount),
        ("cpus", Number),
        ("cpuset", Text),
        ("credential_spec", Map(&CREDENTIALS)),
        ("depends_on", OneOf(&[TEXTS, Dict(&Map(&DEPENDENCY))])),
        ("deploy", Optional(&Map(&DEPLOY))),
        ("develop", Optional(&Map(&DEVELOP))),
        ("device_cgroup_rules", TEXTS),
        ("devices", List(&OneOf(&[Text, Map(&DEVICE)]))),
        ("dns", TEXT_OR_TEXTS),
        ("dns_opt", TEXTS),
        ("dns_search", TEXT_OR_TEXTS),
        ("domainname", Text),
        ("entrypoint", COMMAND),
        ("env_file", OneOf(&[Text, List(&OneOf(&[Text, Map(&ENV_FILE)]))])),
        ("environment", PAIRS),
        ("expose", Set(&TextOrNumber)),
        ("extends", OneOf(&[Text, Map(&EXTENDS)])),
        ("external_links", TEXTS),
        ("extra_hosts", HOSTS),
        ("gpus", OneOf(&[Word(&["all"]), List(&Map(&GPU))])),
        ("group_add", Set(&TextOrNumber)),
        ("healthcheck", Map(&HEALTHCHECK)),
        ("hostname", Text),
        ("image", Text),
        ("init", Truth),
        ("ipc", Text),
        ("isolation", Text),
        ("label_file", OneOf(&[Text, List(&Text)])),
        ("labels", PAIRS),
        ("links", TEXTS),
        ("logging", Map(&LOGGING)),
        ("mac_address", Text),
        ("mem_limit", Size),
        ("mem_reservation", Size),
        ("mem_swappiness", Integer),
        ("memswap_limit", Size),
        ("models", OneOf(&[TEXTS, Named(&Optional(&Map(&MODEL_USE)))])),
        ("network_mode", Text),
        ("networks", OneOf(&[TEXTS, Named(&Optional(&Map(&NETWORK_USE)))])),
        ("oom_kill_disable", Truth),
        ("oom_score_adj", Integer),
        ("pid", Optional(&Text)),
        ("pids_limit", Integer),
        ("platform", Text),
        ("ports", List(&OneOf(&[TextOrNumber, Map(&PORT)]))),
        ("post_start", List(&Map(&HOOK))),
        ("pre_start", List(&Map(&PRE_START))),
        ("pre_stop", List(&Map(&HOOK))),
        ("privileged", Truth),
        ("profiles", TEXTS),
        ("provider", Map(&PROVIDER)),
        ("pull_policy", PullPolicy),
        ("pull_refresh_after", Text),
        ("read_only", Truth),
        ("restart", Text),
        ("runtime", Text),
        ("scale", Integer),
        ("secrets", GIVEN),
        ("security_opt", TEXTS),
        ("shm_size", Size),
        ("stdin_open", Truth),
        ("stop_grace_period", Duration),
        ("stop_signal", Text),
        ("storage_opt", Dict(&Any)),
        ("sysctls", PAIRS),
        ("tmpfs", TEXT_OR_TEXTS),
        ("tty", Truth),
        ("ulimits", ULIMITS),
        ("use_api_socket", Truth),
        ("user", Text),
        ("userns_mode", Text),
        ("uts", Text),
        ("volumes", List(&OneOf(&[Text, Map(&MOUNT)]))),
        ("volumes_from", TEXTS),
        ("working_dir", Text),
    ],
);

static BUILD: Keys = keys(
    "a build",
    &[
        ("additional_contexts", PAIRS),
        ("args", LOOSE_PAIRS),
        ("cache_from", List(&Text)),
        ("cache_to", List(&Text)),
        ("context", Text),
        ("dockerfile", Text),
        ("dockerfile_inline", Text),
        ("entitlements", List(&Text)),
        ("extra_hosts", HOSTS),
        ("isolation", Text),
        ("labels", LOOSE_PAIRS),
        ("network", Text),
        ("no_cache", Truth),
        ("no_cache_filter", TEXT_OR_TEXTS),
        ("platforms", List(&Text)),
        ("privileged", Truth),
        ("provenance", TextOrTruth),
        ("pull", Truth),
        ("sbom", TextOrTruth),
        ("secrets", GIVEN),
        ("shm_size", Size),
        ("ssh", PAIRS),
        ("tags", List(&Text)),
        ("target", Text),
        ("ulimits", ULIMITS),
    ],
);

static PORT: Keys = keys(
    "a port",
    &[
        ("app_protocol", Text),
        ("host_ip", Text),
        ("mode", Text),
        ("name", Text),
        ("protocol", Text),
        ("published", TextOrNumber),
        ("target", TextOrNumber),
    ],
);

static BLKIO: Keys = Keys {
    extensible: false,
    ..keys(
        "a `blkio_config`",
        &[
            ("device_read_bps", List(&Map(&BLKIO_LIMIT))),
            ("device_read_iops", List(&Map(&BLKIO_LIMIT))),
            ("device_write_bps", List(&Map(&BLKIO_LIMIT))),
            ("device_write_iops", List(&Map(&BLKIO_LIMIT))),
            ("weight", PlainCount),
            ("weight_device", List(&Map(&BLKIO_WEIGHT))),
        ],
    )
};
static BLKIO_LIMIT: Keys =
    Keys { extensible: false, ..keys("a device's limit", &[("path", Text), ("rate", TextOrNumber)]) };
static BLKIO_WEIGHT: Keys =
    Keys { extensible: false, ..keys("a device's weight", &[("path", Text), ("weight", PlainCount)]) };

static CREDENTIALS: Keys =
    keys("a `credential_spec`", &[("config", Text), ("file", Text), ("registry", Text)]);

static DEPENDENCY: Keys = Keys {
    required: &["condition"],
    ..keys(
        "a dependency",
        &[
            ("condition", Word(&["service_started", "service_healthy", "service_completed_successfully"])),
            ("required", Truth),
            ("restart", Truth),
        ],
    )
};

static DEPLOY: Keys = keys(
    "a `deploy`",
    &[
        ("endpoint_mode", Text),
        ("labels", LOOSE_PAIRS),
        ("mode", Text),
        ("placement", Map(&PLACEMENT)),
        ("replicas", Integer),
        ("resources", Map(&RESOURCES)),
        ("restart_policy", Map(&RESTART_POLICY)),
        ("rollback_config", Map(&UPDATE)),
        ("update_config", Map(&UPDATE)),
    ],
);
static UPDATE: Keys = keys(
    "an `update_config`",
    &[
        ("delay", Duration),
        ("failure_action", Text),
        ("max_failure_ratio", Number),
        ("monitor", Duration),
        ("order", Word(&["start-first", "stop-first"])),
        ("parallelism", Count),
    ],
);
static PLACEMENT: Keys = keys(
    "a `placement`",
    &[
        ("constraints", List(&Text)),
        ("max_replicas_per_node", Count),
        ("preferences", List(&Map(&PREFERENCE))),
    ],
);
static PREFERENCE: Keys = keys("a preference", &[("spread", Text)]);
static RESOURCES: Keys =
    keys("`resources`", &[("limits", Map(&LIMITS)), ("reservations", Map(&RESERVATIONS))]);
static LIMITS: Keys = keys("`limits`", &[("cpus", Number), ("memory", SizeText), ("pids", Integer)]);
static RESERVATIONS: Keys = keys(
    "`reservations`",
    &[
        ("cpus", Number),
        ("devices", List(&Map(&RESERVED_DEVICE))),
        ("generic_resources", List(&Map(&GENERIC))),
        ("memory", SizeText),
    ],
);
static GENERIC: Keys = keys("a resource", &[("discrete_resource_spec", Map(&DISCRETE))]);
static DISCRETE: Keys = keys("a `discrete_resource_spec`", &[("kind", Text), ("value", Number)]);
const GPU_KEYS: &[(&str, ValueKind)] = &[
    ("capabilities", TEXTS),
    ("count", Devices),
    ("device_ids", TEXTS),
    ("driver", Text),
    ("options", PAIRS),
];
static RESERVED_DEVICE: Keys = Keys { required: &["capabilities"], ..keys("a device", GPU_KEYS) };
static GPU: Keys = keys("a GPU", GPU_KEYS);
static RESTART_POLICY: Keys = keys(
    "a `restart_policy`",
    &[("condition", Text), ("delay", Duration), ("max_attempts", Count), ("window", Duration)],
);

static DEVELOP: Keys = keys("a `develop`", &[("watch", List(&Map(&WATCH)))]);
static WATCH: Keys = Keys {
    required: &["path", "action"],
    ..keys(
        "a watch",
        &[
            ("action", Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
            ("exec", Map(&HOOK)),
            ("ignore", TEXT_OR_TEXTS),
            ("include", TEXT_OR_TEXTS),
            ("initial_sync", Truth),
            ("path", Text),
            ("target", Text),
        ],
    )
};

static DEVICE: Keys = Keys {
    required: &["source"],
    ..keys("a device", &[("permissions", Text), ("source", Text), ("target", Text)])
};

static ENV_FILE: Keys = Keys {
    required: &["path"],
    extensible: false,
    ..keys("an `env_file`", &[("format", Text), ("path", Text), ("required", Truth)])
};

static EXTENDS: Keys = Keys {
    required: &["service"],
    extensible: false,
    ..keys("an `extends`", &[("file", Text), ("service", Text)])
};

static HEALTHCHECK: Keys = keys(
    "a `healthcheck`",
    &[
        ("disable", Truth),
        ("interval", Duration),
        ("retries", Count),
        ("start_interval", Duration),
        ("start_period", Duration),
        ("test", OneOf(&[Text, List(&Text)])),
        ("timeout", Duration),
    ],
);

static HOOK: Keys = Keys { required: &["command"], ..keys("a hook", HOOK_KEYS) };
const HOOK_KEYS: &[(&str, ValueKind)] = &[
    ("command", COMMAND),
    ("environment", PAIRS),
    ("privileged", Truth),
    ("user", Text),
    ("working_dir", Text),
];
static PRE_START: Keys = keys(
    "a hook",
    &[
        ("command", COMMAND),
        ("environment", PAIRS),
        ("image", Text),
        ("per_replica", Truth),
        ("privileged", Truth),
        ("user", Text),
        ("working_dir", Text),
    ],
);

static LOGGING: Keys = keys("a `logging`", &[("driver", Text), ("options", Dict(&Optional(&TextOrNumber)))]);

static MODEL_USE: Keys = keys("a model's use", &[("endpoint_var", Text), ("model_var", Text)]);
static NETWORK_USE: Keys = keys(
    "a service's network",
    &[
        ("aliases", List(&Text)),
        ("driver_opts", OPTIONS),
        ("gw_priority", PlainNumber),
        ("interface_name", Text),
        ("ipv4_address", Text),
        ("ipv6_address", Text),
        ("link_local_ips", List(&Text)),
        ("mac_address", Text),
        ("priority", PlainNumber),
    ],
);

static PROVIDER: Keys = Keys {
    required: &["type"],
    ..keys("a `provider`", &[("options", Dict(&OneOf(&[Scalar, List(&Scalar)]))), ("type", Text)])
};

const GIVEN: ValueKind = List(&OneOf(&[Text, Map(&GIVEN_KEYS)]));
static GIVEN_KEYS: Keys = keys(
    "a secret or config of a service",
    &[("gid", Text), ("mode", Mode), ("source", Text), ("target", Text), ("uid", Text)],
);

const ULIMITS: ValueKind = Dict(&OneOf(&[Integer, Map(&ULIMIT)]));
static ULIMIT: Keys =
    Keys { required: &["hard", "soft"], ..keys("a limit", &[("hard", Integer), ("soft", Integer)]) };

static MOUNT: Keys = Keys {
    required: &["type"],
    ..keys(
        "a volume of a service",
        &[
            ("bind", Map(&BIND)),
            ("consistency", Text),
            ("image", Map(&SUBPATH)),
            ("read_only", Truth),
            ("source", Text),
            ("target", Text),
            ("tmpfs", Map(&TMPFS)),
            ("type", Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
            ("volume", Map(&VOLUME_USE)),
        ],
    )
};
static BIND: Keys = keys(
    "a `bind`",
    &[
        ("create_host_path", Truth),
        ("propagation", Text),
        ("recursive", Word(&["enabled", "disabled", "writable", "readonly"])),
        ("selinux", Word(&["z", "Z"])),
    ],
);
static VOLUME_USE: Keys = keys("a volume's use", &[("labels", PAIRS), ("nocopy", Truth), ("subpath", Text)]);
static TMPFS: Keys = keys("a `tmpfs`", &[("mode", PlainCount), ("size", Size)]);
static SUBPATH: Keys = keys("an image's use", &[("subpath", Text)]);

static MODEL: Keys = Keys {
    required: &["model"],
    ..keys(
        "a model",
        &[("context_size", Integer), ("model", Text), ("name", Text), ("runtime_flags", List(&Text))],
    )
};

const EXTERNAL: ValueKind = OneOf(&[Truth, Map(&EXTERNAL_KEYS)]);
static EXTERNAL_KEYS: Keys = keys("an `external`", &[("name", Text)]);

static NETWORK: Keys = keys(
    "a network",
    &[
        ("attachable", Truth),
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("enable_ipv4", Truth),
        ("enable_ipv6", Truth),
        ("external", EXTERNAL),
        ("internal", Truth),
        ("ipam", Map(&IPAM)),
        ("labels", LOOSE_PAIRS),
        ("name", Text),
    ],
);
static IPAM: Keys =
    keys("an `ipam`", &[("config", List(&Map(&SUBNET))), ("driver", Text), ("options", Dict(&Text))]);
static SUBNET: Keys = keys(
    "a subnet",
    &[("aux_addresses", Dict(&Text)), ("gateway", Text), ("ip_range", Text), ("subnet", Text)],
);

static VOLUME: Keys = keys(
    "a volume",
    &[("driver", Text), ("driver_opts", OPTIONS), ("external", EXTERNAL), ("labels", PAIRS), ("name", Text)],
);

static SECRET: Keys = keys(
    "a secret",
    &[
        ("driver", Text),
        ("driver_opts", OPTIONS),
        ("environment", Text),
        ("external", EXTERNAL),
        ("file", Text),
        ("labels", PAIRS),
        ("name", Text),
        ("template_driver", Text),
    ],
);
static CONFIG: Keys = keys(
    "a config",
    &[
        ("content", Text),
        ("environment", Text),
        ("external", EXTERNAL),
        ("file", Text),
        ("labels", PAIRS),
        ("name", Text),
        ("template_driver", Text),
    ],
);
