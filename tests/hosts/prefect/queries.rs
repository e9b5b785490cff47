//! Every query of the dashboards and alerts, asked of the live Prometheus.

use std::path::Path;

use libtest_mimic::Failed;
use serde_json::Value;

use super::super::lab::Host;

/// Each is understood and asks for figures that there are; what is empty by nature (an alert that
/// does not fire, a flow that never ran) may be.
pub fn are_answered(host: &Host) -> Result<(), Failed> {
    let dashboards = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/prefect/grafana/dashboards");
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(dashboards)? {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        collect(&dashboard, &mut queries);
    }
    assert!(queries.len() > 60, "{} queries", queries.len());
    let mut empty = Vec::new();
    for query in &queries {
        let query = query.replace("$__rate_interval", "2m");
        let answer = ask(host, &format!("query?query={}", encoded(&query)))?;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        if answer["data"]["result"].as_array().is_none_or(Vec::is_empty) {
            empty.push(query);
        }
    }
    eprintln!("{} queries answered, {} of them with nothing: {empty:#?}", queries.len(), empty.len());
    assert!(empty.len() * 4 < queries.len(), "too many find nothing: {empty:#?}");

    let rules = ask(host, "rules?type=alert")?;
    let groups = rules["data"]["groups"].as_array().cloned().unwrap_or_default();
    let alerts: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default()).collect();
    assert!(alerts.len() >= 15, "{} alerts", alerts.len());
    for alert in alerts {
        assert_eq!(alert["health"], "ok", "{alert}");
        assert_ne!(alert["state"], "firing", "{alert}");
    }
    Ok(())
}

fn collect(value: &Value, queries: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            queries.extend(map.get("expr").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, queries));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, queries)),
        _ => {}
    }
}

fn ask(host: &Host, path: &str) -> Result<Value, Failed> {
    let said = host.inside(&format!("curl -sS -m 20 'http://127.0.0.1:9090/api/v1/{path}'"));
    Ok(serde_json::from_str(&said)?)
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
