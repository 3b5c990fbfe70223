//! The commands of the binary, their settings and their files.

mod commands;
mod remote;
mod settings;
mod files;
mod file_rights;
mod rights;
mod secrets;
mod audit;
mod views;
