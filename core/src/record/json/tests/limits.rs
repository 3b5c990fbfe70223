//! What is no JSON at all, what is too deep or too long, and that none of it costs more than its length.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn what_is_not_well_formed_is_no_json() {
    for json in [
        "",
        " ",
        "{",
        "}",
        "{]",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":undefined}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":5.}",
        "{\"a\":NaN}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\n\"}",
        "{} {}",
        "{}\0",
        "nul",
        "// no\n{}",
    ] {
        // Alone: between others, some of these would be good.
        let rejection = Record::from_json(json.as_bytes()).expect_err(json);
        assert_eq!(rejection.code, RejectionCode::NotJson, "{json:?}");
        let detail = rejection.detail();
        assert!(detail.starts_with(GRAMMAR) && detail.contains(" at line "), "{json:?}: {detail}");
    }
}

#[test]
fn every_truncation_of_a_record_is_no_json() {
    for end in 0..EXAMPLE.len() {
        let code = Record::from_json(&EXAMPLE.as_bytes()[..end]).expect_err("it is cut off").code;
        assert_eq!(code, RejectionCode::NotJson, "{}", &EXAMPLE[..end]);
    }
    for more in ["x", "{}", ",", "]", "\0", "\u{feff}", "null"] {
        let code = Record::from_json(format!("{EXAMPLE}{more}").as_bytes()).expect_err("more follows").code;
        assert_eq!(code, RejectionCode::NotJson, "{more:?}");
    }
}

#[test]
fn what_is_not_utf_8_is_no_json() {
    // A stray byte, an overlong form, a surrogate, beyond Unicode, cut off, UTF-16.
    for bytes in [b"\xff".as_slice(), b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xff\xfe{\0}\0"]
    {
        check_not_json([b"{\"a\":\"", bytes, b"\"}"].concat(), "the text is not UTF-8 from byte 7 on");
        check_not_json([b"{\"", bytes, b"\":1}"].concat(), "the text is not UTF-8 from byte 3 on");
        check_not_json(bytes, "the text is not UTF-8 from byte 1 on");
    }
}

#[test]
fn a_lone_surrogate_is_no_json_wherever_it_is() {
    let detail = "the text has a lone surrogate in a string";
    let lone = [
        r"\ud800",
        r"\udfff",
        r"\uDBFFx",
        r"\ud800\ud800",
        r"\ud800\ud800\udc00",
        r"\udc00\ud800",
        r"\ud83d \ude00",
        r"\ud83d\n\ude00",
        r"\ud800\u0041",
        r"\\\ud800",
        r"\ud83d\ude00\ude00",
        r"\ud800\\udc00",
    ];
    for text in lone {
        check_not_json(with(&[("unit", Some(&format!("\"{text}\"")))]), detail);
        check_not_json(with(&[("value", Some(&format!("\"{text}\"")))]), detail);
        check_not_json(and(&format!("\"x\":\"{text}\"")), detail);
        check_not_json(and(&format!("\"x\":[{{\"y\":[\"a{text}\"]}}]")), detail);
        check_not_json(and(&format!("\"{text}\":1")), detail);
        check_not_json(and(&format!("\"x\":{{\"{text}\":1}}")), detail);
        check_not_json(format!("\"{text}\""), detail);
        check_not_json(format!("[\"{text}\"]"), detail);
    }
    for text in
        [r"\ud83d\ude00", r"\uD83D\uDE00", r"\\ud800", r"\\\\ud800", r"\u005cud800", r#"\"\\ud800"#, r"\ud7ff\ue000"]
    {
        check_good(&and(&format!("\"x\":\"{text}\",\"{text}\":1")));
    }
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

fn nested_objects(depth: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))
}

#[test]
fn a_text_is_nested_128_deep_at_most() {
    let detail = "the text is nested deeper than 128";
    for nested in [nested, nested_objects] {
        // The record itself is the first level.
        check_good(&and(&format!("\"x\":{}", nested(127))));
        check_not_json(and(&format!("\"x\":{}", nested(128))), detail);
        check(&with(&[("unit", Some(&nested(127)))]), Some("r-1"), &[("/unit", "must be a string")]);
        check_not_json(with(&[("unit", Some(&nested(128)))]), detail);
        assert!(json_text(nested(128).as_bytes()).is_ok());
        check_not_json(nested(129), detail);
    }
    // Many brackets are not deep, nor are those in a string.
    check_good(&and(&format!("\"x\":[{}[]]", "[],{\"a\":[]},".repeat(1_000))));
    check_good(&and(&format!("\"x\":\"{}\",\"{}\":0", "[".repeat(1_000), "{\\\"[\\\\".repeat(1_000))));
    let element = and(&format!("\"x\":{}", nested(127)));
    assert_eq!(read_array(&format!("[{element}]"), 1), Ok("+".to_owned()));
}

#[test]
fn no_depth_overflows_the_stack_or_takes_quadratic_time() {
    let deep = 1_000_000;
    let texts = vec![
        "[".repeat(deep),
        "{\"a\":".repeat(deep),
        nested(deep),
        nested_objects(deep),
        format!("\"{}", "\\".repeat(deep)),
        format!("{{\"a\":{}}}", nested(deep)),
        and(&format!("\"x\":{}", nested(deep))),
        and(&format!("\"x\":{}", nested_objects(deep))),
        with(&[("unit", Some(&nested(deep)))]),
        with(&[("value", Some(&"-".repeat(deep)))]),
        format!("{{{}\"a\":0", "\"a\":0,".repeat(deep)),
        format!("[{}", "[],".repeat(deep)),
    ];
    // Far less than one frame a level would take.
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let work = move || {
        for text in texts {
            let start = Instant::now();
            assert_eq!(Record::from_json(text.as_bytes()).unwrap_err().code, RejectionCode::NotJson);
            let array = format!("[{EXAMPLE},{text}]");
            assert!(matches!(records_from_json_array(array.as_bytes(), 10), Err(ArrayError::NotJson(_))));
            assert!(start.elapsed() < Duration::from_secs(5), "{} … took {:?}", &text[..20], start.elapsed());
        }
    };
    thread.spawn(work).unwrap().join().unwrap();
}

/// Writes the result as one sign for each element, `+` for a record.
fn read_array(json: &str, elements_max: usize) -> Result<String, ArrayError> {
    let results = records_from_json_array(json.as_bytes(), elements_max)?;
    Ok(results.iter().map(|result| if result.is_ok() { '+' } else { '-' }).collect())
}

#[test]
fn an_array_has_one_result_for_each_element_in_order() {
    assert_eq!(read_array("[]", 10), Ok(String::new()));
    assert_eq!(read_array(" [ ] ", 0), Ok(String::new()));
    assert_eq!(read_array(&format!("[{EXAMPLE}]"), 10), Ok("+".to_owned()));
    assert_eq!(
        read_array(&format!(" [ {EXAMPLE} ,\n1 , null,{EXAMPLE},[{EXAMPLE}],{{}} ]\n"), 10),
        Ok("+--+--".to_owned())
    );
    let mixed = format!("[{EXAMPLE},{{\"recordId\":\"r-2\"}},7]");
    let results = records_from_json_array(mixed.as_bytes(), 10).unwrap();
    for (result, element) in results.iter().zip([EXAMPLE, "{\"recordId\":\"r-2\"}", "7"]) {
        assert_eq!(*result, Record::from_json(element.as_bytes()), "{element}");
    }
}

#[test]
fn an_array_has_so_many_elements_at_most() {
    let of = |n: usize| format!("[{}]", vec!["0"; n].join(","));
    assert_eq!(read_array(&of(10_000), 10_000), Ok("-".repeat(10_000)));
    assert_eq!(read_array(&of(10_001), 10_000), Err(ArrayError::TooMany));
    assert_eq!(read_array(&of(8_000_000), 10_000), Err(ArrayError::TooMany));
    assert_eq!(read_array("[0]", 0), Err(ArrayError::TooMany));
    // What breaks off behind the last element that is counted is still no JSON.
    for end in ["", ",]", "}", ",0,x]", "] x"] {
        let json = format!("{}{end}", of(10_001).trim_end_matches(']'));
        assert!(matches!(read_array(&json, 10_000), Err(ArrayError::NotJson(_))), "{end:?}");
    }
}

#[test]
fn what_is_too_deep_is_no_json_array_or_not() {
    assert_eq!(read_array(&nested_objects(128), 10), Err(ArrayError::NotAnArray));
    assert!(matches!(read_array(&nested_objects(129), 10), Err(ArrayError::NotJson(_))));
    // The array itself does not count: an element may be what a record alone may be.
    assert_eq!(read_array(&nested(129), 10), Ok("-".to_owned()));
    assert!(matches!(read_array(&nested(130), 10), Err(ArrayError::NotJson(_))));
}

#[test]
fn what_is_no_array_is_told_from_what_is_no_json() {
    for json in ["{}", "null", "0", "1e999", "\"[]\"", EXAMPLE, "{\"a\":[]}", " true "] {
        assert_eq!(read_array(json, 10), Err(ArrayError::NotAnArray), "{json}");
    }
    for json in [
        "",
        "[",
        "]",
        "[0",
        "[0,]",
        "[,0]",
        "[0 0]",
        "[0]]",
        "[0] [0]",
        "[\"\\ud800\"]",
        "{\"a\":\"\\ud800\"}",
        "{",
        "nul",
        "[\0]",
    ] {
        assert!(matches!(read_array(json, 10), Err(ArrayError::NotJson(_))), "{json}");
    }
}
