//! User-data: what cloud-init reads on a new server's first boot, so that it provisions itself.
//!
//! It is `scripts/first-boot.sh` with an archive behind it. The archive holds the settings, and
//! where the released binary is and what it must be; nothing in it is secret, since whoever may
//! ask the instance's metadata service can read it.

mod archive;
mod release;
mod secret;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::ValueEnum;
use flate2::Compression;
use flate2::write::GzEncoder;

pub use archive::{Archive, StackArchive, pack_stack};
pub use release::{ARCHITECTURES, CHECKSUMS, Release, Sha256, from_sums, is_sum};
pub use secret::{looks_secret, secrets_in_files};

const FIRST_BOOT: &str = include_str!("../../scripts/first-boot.sh");

/// The most that EC2 takes, in bytes, before it is encoded; others take more.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>
pub const LIMIT: usize = 16 * 1024;

/// Where the script lies on the server, when cloud-init writes it there.
const PATH: &str = "/var/lib/provision/first-boot/first-boot.sh";

/// Characters in a line of base64.
const WIDTH: usize = 76;

/// In which form it is given to cloud-init.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// `#cloud-config`: a file and a command
    #[default]
    CloudConfig,
    /// A shell script
    Script,
    /// A MIME message with the script as a part, to combine with parts of your own
    Mime,
}

/// The user-data with that archive; `summary` is a line on what it does.
///
/// # Errors
///
/// None that is known: it is written to memory.
pub fn render(archive: &Archive, format: Format, summary: &str) -> io::Result<String> {
    let script = script(archive, summary)?;
    Ok(match format {
        Format::Script => script,
        Format::CloudConfig => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(script.as_bytes())?;
            let content = BASE64.encode(packed.finish()?);
            format!(
                "#cloud-config\n{}write_files:\n- path: {PATH}\n  permissions: \"0700\"\n  encoding: gz+b64\n  \
                 content: {content}\nruncmd:\n- [sh, {PATH}]\n",
                comment(summary)
            )
        }
        Format::Mime => format!(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\n\n\
             --{BOUNDARY}\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\
             Content-Transfer-Encoding: 7bit\n\
             Content-Disposition: attachment; filename=\"provision.sh\"\n\n{script}\n--{BOUNDARY}--\n"
        ),
    })
}

/// Two dashes and this stand in no line of a shell script, nor of base64.
const BOUNDARY: &str = "=_provision_=";

fn script(archive: &Archive, summary: &str) -> io::Result<String> {
    let text = crate::script::squeeze(FIRST_BOOT);
    let mut script = format!("#!/bin/sh\n{}{text}", comment(summary));
    for line in BASE64.encode(archive.pack()?).as_bytes().chunks(WIDTH) {
        script.extend(line.iter().map(|byte| char::from(*byte)));
        script.push('\n');
    }
    Ok(script)
}

/// For who reads it in the cloud's console.
fn comment(summary: &str) -> String {
    let summary: String =
        summary.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).collect();
    format!(
        "# Made by provision {}: {summary}\n# On the server: cloud-init status --long, and \
         /var/log/cloud-init-output.log\n",
        env!("CARGO_PKG_VERSION")
    )
}
