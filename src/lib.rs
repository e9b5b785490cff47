//! **provision**: from a bare server to a running stack.
//!
//! Imports go one way: `commands → run → plan → steps → facts → host`; `exposure` stands on
//! `steps` and `facts`;
//! `report` is told and asks nothing; `steps` and `plan` do no input or output.

pub mod cli;
pub mod commands;
pub mod config;
pub mod exposure;
pub mod facts;
pub mod host;
pub mod nearest;
pub mod plan;
pub mod report;
pub mod run;
pub mod stack;
pub mod steps;
pub mod user_data;
