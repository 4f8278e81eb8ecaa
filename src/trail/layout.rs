//! Where CloudTrail puts its files:
//! `[prefix/]AWSLogs/[o-orgid/]account/CloudTrail/region/YYYY/MM/DD/account_CloudTrail_region_YYYYMMDDTHHmmZ_16chars.json.gz`.
//!
//! Source: AWS CloudTrail user guide, "Finding your CloudTrail log files".

use chrono::{Datelike, NaiveDate, NaiveDateTime};

/// Days since 1970-01-01 UTC.
pub type Day = i32;

/// What the location of a log file tells when it follows CloudTrail's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// Everything up to and with the region: `s3://bucket/AWSLogs/111122223333/CloudTrail/us-east-1/`.
    pub folder: &'a str,
    /// The account whose log it is, 12 digits: `recipientAccountId` of its records.
    pub account: &'a str,
    /// The region whose log it is: `awsRegion` of its records.
    pub region: &'a str,
    /// The day of delivery, by the folders; no event in the file is of a later day.
    pub day: Day,
    /// The time of delivery by the file's name, seconds since 1970-01-01 UTC; None where the name does not tell.
    pub time: Option<i64>,
}

/// Reads CloudTrail's layout off a location (a path, or `s3://` with bucket and key). None where it does not follow the layout, or holds no management events.
pub fn delivery(location: &str) -> Option<Delivery<'_>> {
    let (folders, name) = location.rsplit_once('/')?;
    let mut backward = folders.rsplitn(7, '/');
    let day = backward.next()?;
    let month = backward.next()?;
    let year = backward.next()?;
    let region = backward.next()?;
    let service = backward.next()?;
    let account = backward.next()?;
    if service != "CloudTrail" || !is_account(account) || region.is_empty() {
        return None;
    }
    let number =
        |text: &str, digits: usize| (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(year, 4)?).ok()?, number(month, 2)?, number(day, 2)?)?;
    let folder = location.get(..folders.len().checked_sub("/YYYY/MM/DD".len())? + 1)?;
    let time =
        name.split('_').find_map(|part| NaiveDateTime::parse_from_str(part, "%Y%m%dT%H%MZ").ok()).map(|time| time.and_utc().timestamp());
    Some(Delivery { folder, account, region, day: day_of(date), time })
}

/// Whether `text` is an account id: 12 digits.
pub(super) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The folders of a day, `YYYY/MM/DD`; None beyond the calendar.
pub(super) fn day_folders(day: Day) -> Option<String> {
    let date = NaiveDate::default().checked_add_signed(chrono::TimeDelta::try_days(day.into())?)?;
    (0..=9999).contains(&date.year()).then(|| date.format("%Y/%m/%d").to_string())
}

fn day_of(date: NaiveDate) -> Day {
    date.num_days_from_ce() - NaiveDate::default().num_days_from_ce()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivered_file_tells_its_account_region_day_and_minute() {
        let location = "s3://trail/x/AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/2026/09/15/111122223333_CloudTrail_us-east-1_20260915T0005Z_0123456789abcdef.json.gz";
        let found = delivery(location).unwrap();
        assert_eq!(found.folder, "s3://trail/x/AWSLogs/o-abc/111122223333/CloudTrail/us-east-1/");
        assert_eq!((found.account, found.region), ("111122223333", "us-east-1"));
        assert_eq!(i64::from(found.day) * 86_400, 1_789_430_400);
        assert_eq!(found.time, Some(1_789_430_400 + 300));
    }

    #[test]
    fn other_layouts_tell_nothing() {
        for location in [
            "a.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/09/15/x.json.gz",
            "s3://b/AWSLogs/11112222333/CloudTrail/us-east-1/2026/09/15/x.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/2026/13/15/x.json.gz",
            "s3://b/AWSLogs/111122223333/CloudTrail/us-east-1/x.json.gz",
        ] {
            assert_eq!(delivery(location), None, "{location}");
        }
    }
}
