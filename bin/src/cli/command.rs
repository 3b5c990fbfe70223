//! The command line as it is parsed and described: the help of each command lists only the settings that it reads.

use clap::{Args as _, Command, CommandFactory as _};

use super::{Cli, SettingsArgs};

/// The settings that every command reads, unless it reads none.
const COMMON: [&str; 3] = ["config", "log_filter", "log_format"];

/// The further settings that each command reads; `None` where it reads no settings.
pub(super) const SETTINGS_OF: [(&str, Option<&[&str]>); 13] = [
    ("serve", Some(&["listen", "database_url", "redis_url"])),
    ("import", Some(&["database_url"])),
    ("aggregate", Some(&["database_url"])),
    ("export", Some(&["database_url"])),
    ("watch", Some(&["database_url"])),
    ("dead-letters", Some(&["database_url", "redis_url"])),
    ("migrate", Some(&["database_url"])),
    ("config", Some(&["listen", "database_url", "redis_url"])),
    ("health", Some(&["listen"])),
    ("verify", Some(&["database_url"])),
    ("keys", None),
    ("man", None),
    ("completions", None),
];

/// Returns the command line. A command accepts flags that it does not read, because they may also stand before the
/// command; its help hides them.
pub(crate) fn command() -> Command {
    SETTINGS_OF.into_iter().fold(Cli::command(), |cli, (name, read)| {
        let is_read = |id: &str| read.is_some_and(|further| COMMON.contains(&id) || further.contains(&id));
        let all = SettingsArgs::augment_args(Command::new(name));
        let unread = all.get_arguments().filter(|setting| !is_read(setting.get_id().as_str()));
        let hidden: Vec<_> = unread.map(|setting| setting.clone().hide(true)).collect();
        cli.mut_subcommand(name, |command| command.args(hidden))
    })
}
