//! The suite: the real binary, in real folders, over real HTTP, compared with what is promised.

#[cfg(test)]
mod api;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod cli;
#[cfg(test)]
mod interfaces;
#[cfg(test)]
mod observability;
#[cfg(test)]
mod project;
#[cfg(test)]
mod production;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod performance;
