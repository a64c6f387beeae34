//! `results`.

use super::types::Error;
use super::world::with;

pub fn message(text: &str) -> Result<(), Error> {
    super::in_action("set a message")?;
    with(|world| world.told.message = Some(text.to_owned()));
    Ok(())
}

pub fn warn(text: &str) -> Result<(), Error> {
    super::in_action("warn")?;
    with(|world| world.told.warning = Some(text.to_owned()));
    Ok(())
}

pub fn skip(reason: &str) -> Result<(), Error> {
    super::in_action("skip itself")?;
    with(|world| world.told.skipped = Some(reason.to_owned()));
    Ok(())
}

pub fn output(name: &str, value: &str) -> Result<(), Error> {
    super::in_action("expose an output")?;
    let fits = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits || !(1..=128).contains(&name.len()) {
        return Err(Error::Invalid(format!("the name of an output is 1 to 128 of a-z A-Z 0-9 . _ -: {name:?}")));
    }
    super::short("the output", value, 64 << 10)?;
    with(|world| world.told.outputs.insert(name.to_owned(), value.to_owned()));
    Ok(())
}

pub fn link(title: &str, url: &str) -> Result<(), Error> {
    super::in_action("add a link")?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(Error::Invalid(format!("an address starts with https:// or http://: {url:?}")));
    }
    with(|world| world.told.links.push((title.to_owned(), url.to_owned())));
    Ok(())
}

/// Looks no closer than whether it may be JUnit XML at all.
pub fn test_report(junit: &str) -> Result<(), Error> {
    super::in_action("add a test report")?;
    super::short("the test report", junit, 16 << 20)?;
    if !junit.trim_start().starts_with('<') || !junit.contains("<testsuite") {
        return Err(Error::Invalid("the test report is not JUnit XML".to_owned()));
    }
    with(|world| world.told.test_reports.push(junit.to_owned()));
    Ok(())
}

pub fn coverage(percent: f64) -> Result<(), Error> {
    super::in_action("set the coverage")?;
    if !(0.0..=100.0).contains(&percent) {
        return Err(Error::Invalid(format!("a coverage is 0 to 100 percent, not {percent}")));
    }
    with(|world| world.told.coverage = Some(percent));
    Ok(())
}
