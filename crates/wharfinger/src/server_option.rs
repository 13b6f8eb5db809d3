//! Commands that take FILE, or `--server URL` instead.
//!
//! clap cannot say that a positional argument is there unless an option is: each that follows would be
//! taken for it. So there are two forms of these commands, and the command line chooses one.

use std::ffi::OsString;

use clap::Command;

/// The option that stands for a positional argument.
const OPTION: &str = "server";
/// The positional arguments that it can stand for.
const REPLACED: [&str; 2] = ["file", "host"];
/// The options that are only of use with it.
const OF_CONNECTION: [&str; 5] = ["trace", "insecure", "ca_file", "cert", "key"];

/// `command` and those below it that `arguments` name, in the form that `arguments` have. A server
/// starts with this, and the text of all commands takes longer than many of its other steps.
pub(crate) fn fitted(command: Command, arguments: &[OsString]) -> Command {
    let before_values = arguments.iter().take_while(|argument| *argument != "--");
    let mut words = before_values.filter_map(|argument| argument.to_str());
    let option = format!("--{OPTION}");
    let is_option = |word: &str| word.split('=').next() == Some(&option);
    let form = match words.any(is_option) {
        true => Form::Server,
        false => Form::File,
    };
    let is_named = |command: &Command| {
        let mut names = command.get_all_aliases().chain([command.get_name()]);
        names.any(|name| arguments.iter().any(|argument| argument == name))
    };
    each(command, "wharfinger", form, &is_named)
}

/// `command` and all below it, in the form with FILE, whose help names both.
pub(crate) fn documented(command: Command) -> Command {
    each(command, "wharfinger", Form::File, &|_| true)
}

#[derive(Clone, Copy)]
enum Form {
    File,
    Server,
}

fn each(command: Command, path: &str, form: Form, is_needed: &dyn Fn(&Command) -> bool) -> Command {
    let command = command.mut_subcommands(|below| {
        if !is_needed(&below) {
            return below;
        }
        let path = format!("{path} {}", below.get_name());
        each(below, &path, form, is_needed)
    });
    let has = |id: &str| {
        let mut arguments = command.get_arguments();
        arguments.any(|argument| argument.get_id() == id)
    };
    let replaced = REPLACED.into_iter().find(|id| has(OPTION) && has(id));
    match (replaced, form) {
        (None, _) => command,
        (Some(replaced), Form::Server) => with_server(command, replaced),
        (Some(replaced), Form::File) => with_file(command, replaced, path),
    }
}

fn with_server(command: Command, replaced: &'static str) -> Command {
    command
        // No positional argument any more, but an option that is in no help and excludes --server.
        .mut_arg(replaced, |argument| {
            let argument = argument.required(false).long("no argument");
            argument.hide(true).conflicts_with(OPTION)
        })
        .mut_arg(OPTION, |argument| argument.required(true))
}

fn with_file(command: Command, replaced: &'static str, path: &str) -> Command {
    let usage = |command: Command| {
        let usage = command.bin_name(path).render_usage().to_string();
        usage.trim_start_matches("Usage: ").trim_end().to_owned()
    };
    let both = [
        usage(command.clone()),
        usage(with_server(command.clone(), replaced)),
    ];
    let command = command.override_usage(both.join("\n       "));
    let has_own_connection = replaced == "host";
    if has_own_connection {
        return command;
    }
    let of_connection = OF_CONNECTION.into_iter();
    of_connection.fold(command, |command, id| {
        command.mut_arg(id, |argument| argument.requires(OPTION))
    })
}
