//! The suite: the real binary, in real folders, over real HTTP, compared with what is promised.

#[cfg(test)]
mod writes;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod aggregates;
#[cfg(test)]
mod exports;
mod files;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod history;
#[cfg(test)]
mod manners;
#[cfg(test)]
mod alert_rules;
#[cfg(test)]
mod access;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod description;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod schemathesis;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod exactness;
#[cfg(test)]
mod flights;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod asyncapi;
mod views;
mod audit;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod log;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod rolling;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod away;
#[cfg(test)]
mod readiness;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod guarantees;
#[cfg(test)]
mod file_rights;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod packages;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod production;
#[cfg(test)]
mod production_refusals;
#[cfg(test)]
mod production_messages;
#[cfg(test)]
mod production_subscribers;
#[cfg(test)]
mod production_outages;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod performance;
