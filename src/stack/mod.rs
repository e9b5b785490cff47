//! A stack: a folder with a Compose project, on its way to a host.
//!
//! - [`compose`] reads the project as Docker Compose will read it there;
//! - [`bundle`] gathers the folder's files, with modes and hashes;
//! - [`images`] asks the registries whether each image exists for the host's
//!   architecture;
//! - [`origin`] tells where it comes from;
//! - [`shipped`] holds the projects that come with the program.
//!
//! Nothing here talks to the host.

pub mod bundle;
pub mod compose;
pub mod images;
pub mod origin;
pub mod shipped;
