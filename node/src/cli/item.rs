//! `item`: who holds what.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{escape, with_query};
use super::fact::{receipt, show_list};
use super::output::{field, list, short, table};
use super::{Context, Outcome};

#[derive(Debug, Subcommand)]
pub(super) enum ItemVerb {
    /// Take a free item
    Request(ChangeArgs),
    /// Give an item back
    Release(ChangeArgs),
    /// Hand an item over to another member
    Transfer {
        #[command(flatten)]
        change: ChangeArgs,
        /// Who holds it from now on: id, beginning of it, or name
        #[arg(long, value_name = "NODE")]
        to: String,
    },
    /// Show who holds an item
    Show {
        /// Name of the item
        item: String,
    },
    /// List items
    List(ListArgs),
    /// Everything that happened to an item
    History {
        /// Name of the item
        item: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Name of the item
    item: String,
    /// For people
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only items that somebody holds
    #[arg(long, conflicts_with = "free")]
    held: bool,
    /// Only items that nobody holds
    #[arg(long)]
    free: bool,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: u32,
    /// Continue after this item
    #[arg(long)]
    after: Option<String>,
}

fn change(args: &ChangeArgs, verb: &str, to: Option<&str>, context: &Context) -> Outcome {
    let path = format!("/v1/items/{}/{verb}", escape(&args.item));
    let mut document = json!({"note": args.note});
    if let Some(to) = to {
        document["to"] = to.into();
    }
    receipt(&context.client()?.post(&path, &document)?, &context.out)
}

fn holder(item: &Value) -> String {
    let waiting = item["pending"].as_u64() > Some(0);
    format!("{}{}", settled(item), if waiting { " (a change waits to be sealed)" } else { "" })
}

fn settled(item: &Value) -> String {
    match (item["holder"].as_str(), item["holder_name"].as_str()) {
        (None, _) => "free".into(),
        (Some(_), Some(_)) => {
            format!("held by {} ({})", field(item, "/holder_name"), short(item, "/holder"))
        }
        (Some(_), None) => format!("held by {}", field(item, "/holder")),
    }
}

pub(super) fn run(verb: &ItemVerb, context: &Context) -> Outcome {
    match verb {
        ItemVerb::Request(args) => change(args, "request", None, context),
        ItemVerb::Release(args) => change(args, "release", None, context),
        ItemVerb::Transfer { change: args, to } => change(args, "transfer", Some(to), context),
        ItemVerb::Show { item } => {
            let item = context.client()?.get(&format!("/v1/items/{}", escape(item)))?;
            context.out.data(&item, |item| {
                let since = match item["since"]["height"].as_u64() {
                    Some(height) => format!(" since block {height}"),
                    None => String::new(),
                };
                format!("{} is {}{since}", field(item, "/item"), holder(item))
            })?;
            Ok(0)
        }
        ItemVerb::List(args) => {
            let held = (args.held || args.free).then(|| args.held.to_string());
            let parameters = [
                ("held", held),
                ("limit", Some(args.limit.to_string())),
                ("after", args.after.clone()),
            ];
            let page = context.client()?.get(&with_query("/v1/items", &parameters))?;
            context.out.data(&page, |page| {
                let rows = list(page, "items").iter().map(|item| {
                    vec![field(item, "/item"), holder(item), field(item, "/since/height")]
                });
                table(&["ITEM", "HOLDER", "SINCE"], rows)
            })?;
            Ok(0)
        }
        ItemVerb::History { item } => {
            let path = format!("/v1/items/{}/history", escape(item));
            let page = context.client()?.get(&path)?;
            context.out.data(&page, |page| show_list(list(page, "facts")))?;
            Ok(0)
        }
    }
}
