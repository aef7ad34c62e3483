//! A list of companies out of a CSV file, as ticket systems and spreadsheets export it. Every fault has its line.

use anyhow::{Context, bail, ensure};
use csv::{ReaderBuilder, StringRecord};
use ticketgate_protocol::text;

use super::import::{Listed, NAME_MAX};

/// Largest file that is read, in bytes: far more than a hundred thousand companies need.
const SIZE_MAX: usize = 32 << 20;
/// Words over the column of ids, most telling first; compared without case, spaces and signs.
const ID: [&str; 12] = [
    "companyid",
    "companyrecid",
    "accountid",
    "clientid",
    "customerid",
    "organizationid",
    "organisationid",
    "companyidentifier",
    "recid",
    "externalid",
    "number",
    "id",
];
/// Words over the column of names.
const NAME: [&str; 12] = [
    "companyname",
    "accountname",
    "clientname",
    "customername",
    "organizationname",
    "organisationname",
    "businessname",
    "company",
    "customer",
    "organization",
    "organisation",
    "name",
];
/// Words over the column of domains.
const DOMAIN: [&str; 5] = ["emaildomain", "emaildomains", "domain", "domains", "companydomain"];

/// Which columns hold what: a number from 1, or the word over it; found by their usual words where nothing is said.
#[derive(Debug, Default, Clone)]
pub(super) struct Columns {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) domain: Option<String>,
}

/// Reads a whole file.
///
/// # Errors
/// The first fault, with its line.
pub(super) fn read(bytes: &[u8], columns: &Columns) -> anyhow::Result<Vec<Listed>> {
    ensure!(
        bytes.len() <= SIZE_MAX,
        "the file is larger than {} MiB; check that it is the right one",
        SIZE_MAX >> 20
    );
    ensure!(
        !(bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])),
        "the file is UTF-16; save it as \"CSV UTF-8\""
    );
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|fault| {
        let before = bytes.get(..fault.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("line {line}: this is not UTF-8; save the file as \"CSV UTF-8\"")
    })?;
    let (text, skipped, separator) = dialect(text);
    let mut reader = ReaderBuilder::new()
        .delimiter(separator)
        .flexible(true)
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let Some(header) = records.next().transpose()? else { bail!("the file is empty") };
    let places = Places::find(&header, columns)?;
    let mut found: Vec<(u64, Listed)> = Vec::new();
    for record in records {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line) + skipped;
        if record.iter().all(str::is_empty) {
            continue;
        }
        let company = places.company(&record).with_context(|| format!("line {line}"))?;
        if let Some((first, other)) =
            found.iter().find(|(_, other)| !company.id.is_empty() && other.id == company.id)
        {
            ensure!(
                super::import::same_name(&other.name, &company.name),
                "line {line}: id {:?} is also on line {first}, with another name; check --id-column",
                company.id
            );
        }
        found.push((line, company));
    }
    Ok(found.into_iter().map(|(_, company)| company).collect())
}

/// The text without a spreadsheet's `sep=;`, how many lines that was, and the separator: the one that stands most often outside of quotes in
/// the first line.
fn dialect(text: &str) -> (&str, u64, u8) {
    let first = text.lines().next().unwrap_or_default();
    if let Some(&[separator @ (b',' | b';' | b'\t' | b'|')]) = first.strip_prefix("sep=").map(str::as_bytes) {
        let rest = text.get(first.len()..).unwrap_or_default();
        let rest = rest.strip_prefix('\r').unwrap_or(rest);
        return (rest.strip_prefix('\n').unwrap_or(rest), 1, separator);
    }
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    let mut quoted = false;
    for byte in first.bytes() {
        quoted ^= byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && byte == *separator);
        }
    }
    // Of two that are as many, the comma.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    (text, 0, most.map_or(b',', |(separator, _)| *separator))
}

struct Places {
    id: Option<usize>,
    name: usize,
    domain: Option<usize>,
}

impl Places {
    fn find(header: &StringRecord, columns: &Columns) -> anyhow::Result<Self> {
        let id = named(header, "--id-column", columns.id.as_deref(), &ID)?;
        let domain = named(header, "--domain-column", columns.domain.as_deref(), &DOMAIN)?;
        let Some(name) = named(header, "--name-column", columns.name.as_deref(), &NAME)? else {
            bail!(
                "line 1: no column is called Name or Company; say which it is with --name-column. There are: {}",
                words(header)
            );
        };
        ensure!(
            id != Some(name),
            "line 1: ids and names are to be in one column; say which with --id-column and --name-column"
        );
        Ok(Self { id, name, domain })
    }

    fn company(&self, record: &StringRecord) -> anyhow::Result<Listed> {
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let name = text::line(cell(self.name), NAME_MAX).map_err(|bad| anyhow::anyhow!("the name {bad}"))?;
        let id = match self.id.map(cell) {
            Some(id) => text::line(id, NAME_MAX).map_err(|bad| anyhow::anyhow!("the id {bad}"))?,
            None => String::new(),
        };
        let domains = self.domain.map(cell).unwrap_or_default();
        let domains =
            domains.split([',', ';', '|', ' ']).filter(|part| !part.is_empty()).map(domain).collect();
        Ok(Listed { id, name, domains })
    }
}

/// `https://www.acme.example/` and `@acme.example` mean the same.
fn domain(cell: &str) -> String {
    let cell = cell.trim().to_lowercase();
    let cell = cell.split_once("://").map_or(cell.as_str(), |(_, rest)| rest);
    let cell = cell.rsplit_once('@').map_or(cell, |(_, rest)| rest);
    let cell = cell.split('/').next().unwrap_or_default();
    cell.strip_prefix("www.").unwrap_or(cell).to_owned()
}

/// The column that was asked for, or the only one that is called so.
fn named(
    header: &StringRecord,
    option: &str,
    asked: Option<&str>,
    usual: &[&str],
) -> anyhow::Result<Option<usize>> {
    let Some(asked) = asked else {
        let find = |word: &&str| header.iter().position(|cell| plain(cell) == **word);
        return Ok(usual.iter().find_map(find));
    };
    if let Some(at) = header.iter().position(|cell| plain(cell) == plain(asked) && !plain(asked).is_empty()) {
        return Ok(Some(at));
    }
    match asked.parse::<usize>() {
        Ok(number) if (1..=header.len()).contains(&number) => Ok(Some(number - 1)),
        Ok(number) => {
            bail!("line 1: there is no column {number}, as {option} says: there are {}", header.len())
        }
        Err(_) => {
            bail!("line 1: no column is called {asked:?}, as {option} says. There are: {}", words(header))
        }
    }
}

fn plain(cell: &str) -> String {
    cell.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase()
}

fn words(header: &StringRecord) -> String {
    let shown = |cell: &str| cell.chars().filter(|c| !text::is_forbidden(*c)).take(40).collect::<String>();
    header.iter().map(|cell| format!("{:?}", shown(cell))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, name: &str, domains: &[&str]) -> Listed {
        Listed { id: id.into(), name: name.into(), domains: domains.iter().map(|d| (*d).into()).collect() }
    }

    fn fault(text: &[u8], columns: &Columns) -> String {
        format!("{:#}", read(text, columns).unwrap_err())
    }

    #[test]
    fn exports_of_every_kind_are_read() {
        let expected = [listed("19", "Acme, Corp", &["acme.example"]), listed("27", "Globex", &[])];
        for text in [
            "Company ID,Company Name,Domain\n19,\"Acme, Corp\",acme.example\n27,Globex,\n",
            "\u{feff}company_id;COMPANY NAME;E-Mail Domain\r\n19;Acme, Corp;@Acme.example\r\n;;\r\n27;Globex;\r\n",
            "sep=;\r\nName;ID;Domains\r\n\"Acme, Corp\";19;https://www.acme.example/about\r\nGlobex;27\r\n",
            "id\tname\tstatus\tdomain\n19\tAcme, Corp\tactive\tacme.example\n27\t Globex \tactive\t",
        ] {
            assert_eq!(read(text.as_bytes(), &Columns::default()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn columns_are_named_by_number_or_by_the_word_over_them() {
        let text = b"Ref,Klant,Name\n19,Acme,Kim\n";
        let columns =
            |id: &str, name: &str| Columns { id: Some(id.into()), name: Some(name.into()), domain: None };
        for columns in [columns("1", "2"), columns("ref", "klant"), columns("Ref", "2")] {
            assert_eq!(read(text, &columns).unwrap(), [listed("19", "Acme", &[])]);
        }
        assert_eq!(read(b"Name\nAcme\n", &Columns::default()).unwrap(), [listed("", "Acme", &[])]);
        for (columns, says) in [
            (columns("4", "2"), "no column 4"),
            (columns("0", "2"), "no column 0"),
            (columns("ref", "firma"), "no column is called \"firma\""),
            (columns("2", "2"), "in one column"),
        ] {
            let said = fault(text, &columns);
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, says) in [
            (&b""[..], "the file is empty"),
            (b"a,b\n1,2\n", "line 1: no column is called Name or Company"),
            (b"id,name\n1,Acme\n1,Globex\n", "line 3: id \"1\" is also on line 2, with another name"),
            (b"id,name\n1,\"Acme\n\nCorp\"\n", "line 2: the name holds a control"),
            (b"id,name\n1,Acme\n2,\n", "line 3: the name is empty"),
            (b"id,name\n1,Acme\n,Globex\n", "line 3: the id is empty"),
            (b"sep=,\nid,name\n1,Ac\x07me\n", "line 3: the name holds a control"),
            ("id,name\n1,Ac\u{202e}me\n".as_bytes(), "line 2: the name holds a control"),
            (b"id,name\n1,Acme\n2,M\xfcller\n", "line 3: this is not UTF-8"),
            (b"\xff\xfei\0d\0", "UTF-16"),
        ] {
            let said = fault(text, &Columns::default());
            assert!(said.contains(says), "{said}");
        }
        let long = format!("id,name\n1,{}\n", "a".repeat(NAME_MAX + 1));
        assert!(fault(long.as_bytes(), &Columns::default()).contains("line 2: the name is longer than 200"));
        assert_eq!(
            read(b"id,name\n1,Acme\n1,ACME\n", &Columns::default()).unwrap().len(),
            2,
            "the same twice is no fault"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_in_a_file_is_read_or_refused(text in "(id[,;]name\n)?([ -~\u{e9}]{0,12}[,;\"\n]){0,12}", raw in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            for bytes in [text.as_bytes(), &raw] {
                if let Ok(found) = read(bytes, &Columns::default()) {
                    for company in found {
                        proptest::prop_assert_eq!(text::line(&company.name, NAME_MAX), Ok(company.name.clone()));
                    }
                }
            }
        }
    }
}
