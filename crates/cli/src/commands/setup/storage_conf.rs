//! `storage.conf`: an additional image store is added to it, or taken out, and every other byte stays.
//!
//! The file has no drop-ins as of podman 5.8. So the text is edited, and the edit is only taken when the parser finds in it
//! what was there before and the store.

use std::path::Path;

use toml::{Table, Value};

/// What marks lines of ours.
const MARK: &str = "# by `morsel setup`";

/// A file that cannot be edited.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("it is no TOML: {0}")]
    Toml(String),
    #[error("it has the storage driver `{0}`, and additional image stores take `overlay`")]
    Driver(String),
    #[error(
        "it is written in a way that is not edited here; add \"{0}\" to `additionalimagestores` in `[storage.options]`"
    )]
    Form(String),
}

/// Returns the text with the store, or `None` when it has it already.
pub(super) fn add(text: &str, store: &Path) -> Result<Option<String>, Unfit> {
    let before = parse(text)?;
    let stores = stores(&before);
    let store = store.display().to_string();
    if stores.contains(&store) {
        return Ok(None);
    }
    let driver = before.get("storage").and_then(|storage| storage.get("driver")).and_then(Value::as_str);
    if let Some(driver) = driver.filter(|driver| !matches!(*driver, "" | "overlay")) {
        return Err(Unfit::Driver(driver.chars().take(40).collect()));
    }
    let expected: Vec<_> = [store.clone()].into_iter().chain(stores).collect();
    let candidates = [into_array(text, &store), into_table(text, &store), at_end(text, &store)];
    let fits = |candidate: &String| parse(candidate).is_ok_and(|after| is_change(&before, &after, &expected));
    candidates.into_iter().flatten().find(fits).map(Some).ok_or(Unfit::Form(store))
}

/// Returns the text without the store, or `None` when it does not have it.
pub(super) fn remove(text: &str, store: &Path) -> Result<Option<String>, Unfit> {
    let before = parse(text)?;
    let store = store.display().to_string();
    let stores = stores(&before);
    if !stores.contains(&store) {
        return Ok(None);
    }
    let expected: Vec<_> = stores.into_iter().filter(|other| *other != store).collect();
    let fragments = [end(&store), line(&store), format!("{}, ", quoted(&store)), quoted(&store)];
    let without =
        |fragment: &String| text.contains(fragment.as_str()).then(|| text.replacen(fragment, "", 1));
    let fits = |candidate: &String| parse(candidate).is_ok_and(|after| is_change(&before, &after, &expected));
    fragments.iter().filter_map(without).find(fits).map(Some).ok_or(Unfit::Form(store))
}

/// Writes a file for a machine that has none, with what podman takes then.
pub(super) fn new(store: &Path, places: Option<[&Path; 2]>) -> String {
    let mut text = format!(
        "{MARK}, with the places that are the default without this file\n[storage]\ndriver = \"overlay\"\n"
    );
    if let Some([runroot, graphroot]) = places {
        text += &format!("runroot = \"{}\"\ngraphroot = \"{}\"\n", runroot.display(), graphroot.display());
    }
    text + "\n[storage.options]\n"
        + &format!("additionalimagestores = [{}]\n", quoted(&store.display().to_string()))
}

/// Writes a drop-in for engines that shall not see what a file of ours says: they look in the other stores that it names, and
/// store where they would without it.
pub(super) fn without(text: &str, store: &Path) -> Result<String, Unfit> {
    let store = store.display().to_string();
    let others =
        stores(&parse(text)?).into_iter().filter(|other| *other != store).map(|other| quoted(&other));
    let others = others.collect::<Vec<_>>().join(", ");
    let places = if text.starts_with(MARK) { "[storage]\nrunroot = \"\"\ngraphroot = \"\"\n" } else { "" };
    Ok(format!("{MARK}\n{places}[storage.options]\nadditionalimagestores = [{others}]\n"))
}

/// Writes a drop-in that names the stores of a file once more.
pub(super) fn once_more(text: &str) -> Result<String, Unfit> {
    let stores: Vec<_> = stores(&parse(text)?).iter().map(|store| quoted(store)).collect();
    Ok(format!("{MARK}\n[storage.options]\nadditionalimagestores = [{}]\n", stores.join(", ")))
}

fn parse(text: &str) -> Result<Table, Unfit> {
    text.parse().map_err(|error: toml::de::Error| Unfit::Toml(error.message().chars().take(200).collect()))
}

fn stores(table: &Table) -> Vec<String> {
    let options = table.get("storage").and_then(|storage| storage.get("options"));
    let stores = options.and_then(|options| options.get("additionalimagestores")).and_then(Value::as_array);
    stores.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Tells whether one file says the same as the other, but for the stores, which are as expected.
fn is_change(before: &Table, after: &Table, expected: &[String]) -> bool {
    stores(after) == expected && without_stores(before.clone()) == without_stores(after.clone())
}

fn without_stores(mut table: Table) -> Table {
    let mut is_empty = false;
    if let Some(storage) = table.get_mut("storage").and_then(Value::as_table_mut) {
        if let Some(options) = storage.get_mut("options").and_then(Value::as_table_mut) {
            options.remove("additionalimagestores");
            if options.is_empty() {
                storage.remove("options");
            }
        }
        is_empty = storage.is_empty();
    }
    if is_empty {
        table.remove("storage");
    }
    table
}

/// Puts the store into the array that is there, before the others.
fn into_array(text: &str, store: &str) -> Option<String> {
    let key = text.match_indices("additionalimagestores").map(|(at, _)| at);
    let at = key.filter(|at| starts_line(text, *at)).last()?;
    let open = at + text.get(at..)?.find('[')? + 1;
    let (start, rest) = text.split_at_checked(open)?;
    let comma = if rest.trim_start().starts_with(']') { "" } else { ", " };
    Some(format!("{start}{}{comma}{rest}", quoted(store)))
}

/// Adds a line to the table that is there.
fn into_table(text: &str, store: &str) -> Option<String> {
    let header = text.match_indices("[storage.options]").map(|(at, _)| at);
    let at = header.filter(|at| starts_line(text, *at)).last()?;
    let end = text.get(at..)?.find('\n').map_or(text.len(), |end| at + end + 1);
    let (start, rest) = text.split_at_checked(end)?;
    let gap = if start.ends_with('\n') { "" } else { "\n" };
    Some(format!("{start}{gap}{}{rest}", line(store)))
}

fn at_end(text: &str, store: &str) -> Option<String> {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{text}{gap}{}", end(store)))
}

fn starts_line(text: &str, at: usize) -> bool {
    let line = text.get(..at).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
    line.chars().all(char::is_whitespace)
}

fn line(store: &str) -> String {
    format!("additionalimagestores = [{}] {MARK}\n", quoted(store))
}

fn end(store: &str) -> String {
    format!("[storage.options] {MARK}\n{}", line(store))
}

/// Writes a basic string of TOML; what has to be escaped is escaped as in JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: &str = "/var/lib/morsel/ais";

    fn added(text: &str) -> String {
        add(text, Path::new(STORE)).unwrap().unwrap()
    }

    #[test]
    fn what_is_added_is_taken_out_again_to_the_byte() {
        let texts = [
            "",
            "# nothing\n",
            "[storage]\ndriver = \"overlay\"\n",
            "[storage]\ndriver = \"overlay\"\ngraphroot='/g'\n[storage.options]\n\n[storage.options.overlay]\nmountopt = \"nodev\"\n",
            "[storage.options]\n  # additionalimagestores = []\n  additionalimagestores = [\n  ]\nx = 1",
            "[storage.options]\nadditionalimagestores = [ '/other' ,]\n",
            "[storage]\n[storage.options]",
            "[storage.options.overlay]\nmountopt = \"nodev\"\n",
        ];
        for text in texts {
            let after = added(text);
            assert_eq!(add(&after, Path::new(STORE)).unwrap(), None, "{after}");
            let back = remove(&after, Path::new(STORE)).unwrap().unwrap();
            assert_eq!(back.trim_end_matches('\n'), text.trim_end_matches('\n'), "{after}");
            assert!(back == text || !text.ends_with('\n'), "{after}");
            assert_eq!(remove(text, Path::new(STORE)).unwrap(), None);
        }
        assert_eq!(
            added("[storage.options]\nadditionalimagestores = ['/other']\n"),
            "[storage.options]\nadditionalimagestores = [\"/var/lib/morsel/ais\", '/other']\n"
        );
    }

    #[test]
    fn what_cannot_be_edited_is_left_alone() {
        let fails = |text: &str| add(text, Path::new(STORE)).unwrap_err().to_string();
        assert!(fails("[storage]\ndriver = 'vfs'\n").contains("`vfs`"));
        assert!(fails("[storage").starts_with("it is no TOML"));
        assert!(fails("storage = { options = {} }\n").contains("additionalimagestores"));
    }

    #[test]
    fn a_new_file_has_the_store() {
        let text = new(Path::new(STORE), Some([Path::new("/run"), Path::new("/graph")]));
        assert_eq!(stores(&parse(&text).unwrap()), [STORE]);
        assert_eq!(add(&text, Path::new(STORE)).unwrap(), None);
    }
}
