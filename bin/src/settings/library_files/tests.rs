//! Tests of the files that a URL names.

use super::*;

#[test]
fn the_files_of_a_url_are_found_as_libpq_reads_them() {
    let url = "postgres://u@h,i:5/d?sslmode=verify-full&sslrootcert=system&sslkey=/run/a%20b+c.key&passfile=p&sslcrl=r";
    let files = [("sslkey", "/run/a b+c.key"), ("passfile", "p"), ("sslcrl", "r")];
    assert_eq!(of_url(url), files.map(|(name, file)| (name, PathBuf::from(file))));
    assert_eq!(of_url("postgres://u@h/d"), []);
}
