//! Scalars: what their text means, by their tag or as `PyYAML` takes them.

use std::borrow::Cow;

use saphyr_parser::{ScalarStyle, Tag};

use super::super::json::MAX_INTEGER_DIGITS;
use super::super::value::{Number, Value};
use super::read::Fault;

/// What tags of YAML itself, such as `!!int`, begin with.
const CORE_TAG: &str = "tag:yaml.org,2002:";

pub(super) fn collection_tag(tag: Option<&Tag>, expected: &str) -> Result<(), Fault> {
    match tag.map(tag_name) {
        Some(name) if name != "!" && name.strip_prefix(CORE_TAG) != Some(expected) => Err(unknown_tag(&name)),
        _ => Ok(()),
    }
}

/// The whole name of a tag, whichever way it was written: `!!int`, `!<tag:yaml.org,2002:int>`, with a handle of its own.
fn tag_name(tag: &Tag) -> String {
    format!("{}{}", tag.handle, tag.suffix)
}

fn unknown_tag(name: &str) -> Fault {
    const KNOWN: &str = "!!str, !!int, !!float, !!bool, !!null, !!timestamp, !!seq, !!map";
    format!("the tag {name:?} cannot stand here (known tags, each on its own kind of node: {KNOWN})").into()
}

pub(super) fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Fault> {
    let Some(tag) = tag.map(tag_name) else {
        return if style == ScalarStyle::Plain { plain(text) } else { Ok(Value::String(text.into_owned())) };
    };
    match tag.strip_prefix(CORE_TAG) {
        Some("str" | "timestamp") => Ok(Value::String(text.into_owned())),
        Some("int") => integer(&text).map(Value::Number),
        Some("float") => float(&text).map(Value::Number),
        Some("null") => Ok(Value::Null),
        Some("bool") => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Value::Bool(true)),
            "no" | "false" | "off" => Ok(Value::Bool(false)),
            _ => Err("not a truth value".into()),
        },
        // PyYAML takes `!` to mean "as if it were plain", even before quotes.
        None if tag == "!" => plain(text),
        _ => Err(unknown_tag(&tag)),
    }
}

/// What a plain scalar means in YAML 1.1 as `PyYAML` understands it.
fn plain(text: Cow<'_, str>) -> Result<Value, Fault> {
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Value::Null),
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Ok(Value::Bool(true)),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Ok(Value::Bool(false)),
        text if is_float(text) => float(text).map(Value::Number),
        text if is_integer(text) => integer(text).map(Value::Number),
        _ => Ok(Value::String(text.into_owned())),
    }
}

fn strip_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Digits, with underscores anywhere but at the start.
fn is_digits(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && is_made_of(text, "0123456789_")
}

fn is_made_of(text: &str, characters: &str) -> bool {
    text.chars().all(|c| characters.contains(c))
}

/// A group after a colon: 0 to 59, in one digit or two.
fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [low] => low.is_ascii_digit(),
        [high, low] => matches!(high, b'0'..=b'5') && low.is_ascii_digit(),
        _ => false,
    }
}

/// Has the form of a float in YAML 1.1: with a point, and with a sign in the exponent.
fn is_float(text: &str) -> bool {
    let (_, unsigned) = strip_sign(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let Some((whole, rest)) = unsigned.split_once('.') else { return false };
    let (fraction, exponent) =
        rest.split_once(['e', 'E']).map_or((rest, None), |(fraction, exponent)| (fraction, Some(exponent)));
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if whole.is_empty() {
        // `.5` is a float, `-.5` is not.
        return text.starts_with('.') && is_digits(fraction) && exponent_fits;
    }
    let mut groups = whole.split(':');
    let first_fits = groups.next().is_some_and(is_digits);
    let sixtieths = groups.clone().count() > 0;
    first_fits
        && groups.all(is_sixtieth)
        && is_made_of(fraction, "0123456789_")
        && exponent_fits
        && !(sixtieths && exponent.is_some())
}

/// Has the form of an integer in YAML 1.1: binary, octal, decimal, hexadecimal or in groups of sixty.
fn is_integer(text: &str) -> bool {
    let (_, unsigned) = strip_sign(text);
    if let Some(digits) = unsigned.strip_prefix("0b") {
        return !digits.is_empty() && is_made_of(digits, "01_");
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return !digits.is_empty() && is_made_of(digits, "0123456789abcdefABCDEF_");
    }
    if let Some(digits) = unsigned.strip_prefix('0') {
        return is_made_of(digits, "01234567_");
    }
    let mut groups = unsigned.split(':');
    groups.next().is_some_and(is_digits) && groups.all(is_sixtieth)
}

/// The integer that a text of the form [`is_integer`] stands for; other texts come here by a tag.
fn integer(text: &str) -> Result<Number, Fault> {
    let text = text.replace('_', "");
    let (negative, digits) = strip_sign(&text);
    let mut natural = Natural::default();
    if let Some(digits) = digits.strip_prefix("0b") {
        natural.push_digits(digits, 2)?;
    } else if let Some(digits) = digits.strip_prefix("0x") {
        natural.push_digits(digits, 16)?;
    } else if digits.starts_with('0') {
        natural.push_digits(digits, 8)?;
    } else {
        let mut groups = digits.split(':');
        natural.push_digits(groups.next().unwrap_or_default(), 10)?;
        for group in groups {
            let sixtieths = if is_sixtieth(group) { group.parse().map_err(|_| NOT_AN_INTEGER)? } else { 60 };
            if sixtieths >= 60 {
                return Err(NOT_AN_INTEGER.into());
            }
            natural.push(60, sixtieths)?;
        }
    }
    natural.into_number(negative)
}

const NOT_AN_INTEGER: &str = "not an integer";
const TOO_MANY_DIGITS: &str = "an integer of more than 4,300 digits";

/// A natural number of bounded length that grows digit by digit.
#[derive(Default)]
struct Natural {
    /// Digits in base 10^9, lowest first.
    limbs: Vec<u32>,
}

impl Natural {
    const BASE: u64 = 1_000_000_000;

    /// Appends digits in base `radix`, which is at most 16.
    fn push_digits(&mut self, digits: &str, radix: u32) -> Result<(), Fault> {
        if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(NOT_AN_INTEGER.into());
        }
        // Seven digits at a time: 16^7 is still small beside 2^32.
        for chunk in digits.as_bytes().chunks(7) {
            let (scale, value) = chunk.iter().fold((1, 0), |(scale, value), digit| {
                (scale * radix, value * radix + char::from(*digit).to_digit(radix).unwrap_or(0))
            });
            self.push(scale, value)?;
        }
        Ok(())
    }

    /// Multiplies by `scale` and adds `value`.
    fn push(&mut self, scale: u32, value: u32) -> Result<(), Fault> {
        let mut carry = u64::from(value);
        for limb in &mut self.limbs {
            let sum = u64::from(*limb) * u64::from(scale) + carry;
            *limb = low_limb(sum);
            carry = sum / Self::BASE;
        }
        if carry > 0 {
            self.limbs.push(low_limb(carry));
        }
        if self.limbs.len() > MAX_INTEGER_DIGITS / 9 + 1 { Err(TOO_MANY_DIGITS.into()) } else { Ok(()) }
    }

    fn into_number(self, negative: bool) -> Result<Number, Fault> {
        use std::fmt::Write;
        let mut limbs = self.limbs.iter().rev();
        let mut digits = limbs.next().map_or_else(|| "0".to_owned(), u32::to_string);
        for limb in limbs {
            // Writing to a string cannot fail.
            let _ = write!(digits, "{limb:09}");
        }
        if digits.len() > MAX_INTEGER_DIGITS {
            return Err(TOO_MANY_DIGITS.into());
        }
        if negative {
            digits.insert(0, '-');
        }
        Ok(digits.parse().map_or_else(|_| Number::Big(digits.into()), Number::Int))
    }
}

/// The remainder by 10^9, which always fits.
fn low_limb(sum: u64) -> u32 {
    u32::try_from(sum % Natural::BASE).unwrap_or(0)
}

/// The float that a text of the form [`is_float`] stands for; other texts come here by a tag.
fn float(text: &str) -> Result<Number, Fault> {
    const NOT_A_FLOAT: &str = "not a floating-point number";
    const NOT_FINITE: &str = "not a finite number (NaN and infinities cannot be stored)";
    let text = text.replace('_', "").to_ascii_lowercase();
    let (negative, unsigned) = strip_sign(&text);
    if matches!(unsigned, ".inf" | ".nan") {
        return Err(NOT_FINITE.into());
    }
    // Rust would also read words such as `infinity`.
    if !is_made_of(unsigned, "0123456789.:e+-") {
        return Err(NOT_A_FLOAT.into());
    }
    let mut sum = 0.0;
    let mut base = 1.0;
    // From the lowest group up, as PyYAML adds them: the order decides how the sum is rounded.
    for group in unsigned.rsplit(':') {
        let group: f64 = group.parse().map_err(|_| NOT_A_FLOAT)?;
        sum += group * base;
        base *= 60.0;
    }
    let x = if negative { -sum } else { sum };
    if x.is_finite() { Ok(Number::Float(x)) } else { Err(NOT_FINITE.into()) }
}

#[cfg(test)]
mod tests {
    use super::super::super::json::{self, Charset, Layout};
    use super::super::parse;

    /// What `text` means, as JSON.
    fn meaning(text: &str) -> String {
        String::from_utf8(json::to_vec(&parse(text.as_bytes()).unwrap(), Layout::Compact, Charset::Ascii)).unwrap()
    }

    #[test]
    fn plain_scalars_mean_what_pyyaml_makes_of_them() {
        for (text, json) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "\"nULL\""),
            ("yes", "true"),
            ("Off", "false"),
            ("y", "\"y\""),
            ("1_000", "1000"),
            ("-0", "0"),
            ("012", "10"),
            ("08", "\"08\""),
            ("0o17", "\"0o17\""),
            ("0x_fF", "255"),
            ("-0b101", "-5"),
            ("12:30:00", "45000"),
            ("1:75", "\"1:75\""),
            ("0:30", "\"0:30\""),
            ("0:30.5", "30.5"),
            ("-1:30.25", "-90.25"),
            ("0xffffffffffffffffffffffff", "79228162514264337593543950335"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e16", "\"1e16\""),
            ("1.0e16", "\"1.0e16\""),
            ("1.0e+16", "1e+16"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-.5", "\"-.5\""),
            ("-0.0", "-0.0"),
            ("2025-03-01", "\"2025-03-01\""),
            ("2025-03-01T08:00:00Z", "\"2025-03-01T08:00:00Z\""),
            ("=", "\"=\""),
            ("'12'", "\"12\""),
            ("! '12'", "12"),
            ("!!str 12", "\"12\""),
            ("!<tag:yaml.org,2002:int> '12'", "12"),
            ("!!float 1e16", "1e+16"),
            ("!!bool 'YES'", "true"),
            ("!!timestamp 2025-03-01", "\"2025-03-01\""),
        ] {
            assert_eq!(meaning(text), json, "{text}");
        }
    }
}
