//! **provision**: from a bare server to a running stack.
//!
//! Imports between these modules go one way: `tests/rooms.rs` has their order. `report` is told and
//! asks nothing; `steps` and `plan` do no input or output.

pub mod cli;
pub mod commands;
pub mod config;
pub mod digest;
pub mod exposure;
pub mod facts;
pub mod host;
pub mod nearest;
pub mod plan;
pub mod report;
pub mod run;
pub mod script;
pub mod stack;
pub mod steps;
pub mod text;
pub mod time;
pub mod user_data;
