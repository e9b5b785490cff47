//! Shell programs of our own, as they are sent to hosts.

/// A script without its comments, blank lines and indentation: the same program in fewer bytes.
///
/// Only for scripts of our own that keep to it: no here-documents, and no line
/// inside quotes that begins with a space or `#`.
pub fn squeeze(script: &str) -> String {
    let mut text = String::with_capacity(script.len());
    for line in script.lines().map(str::trim_start) {
        if !line.is_empty() && !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}
