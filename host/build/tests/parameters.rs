//! The faults of parameters, and the values that they have.

mod declared;

use declared::{action, owned, param, short};
use monkeyci_build::{ParamDraft, ParamKind, check, param_value};

fn param_faults(params: &[ParamDraft]) -> Vec<String> {
    short(&check(&[], params).expect_err("the parameters have faults"))
}

#[test]
fn faults_of_parameters_stand_before_those_of_jobs() {
    let workers = ParamDraft { default: Some("four".into()), ..param("workers", "integer") };
    let faults = check(&[action("a", &["b"])], &[workers]).expect_err("there are faults");
    assert_eq!(
        faults.to_string(),
        "the graph has 2 faults:\n\
         parameter \"workers\", default: \"four\" is not a whole number; give one from -2^63 to 2^63-1\n\
         job \"a\", needs: there is no job \"b\"; declare it, or take this need away"
    );
}

#[test]
fn a_parameter_has_a_name_and_a_kind_that_make_sense() {
    let long = "x".repeat(129);
    let params = ["", "a=b", "a\n", &long].map(|name| param(name, "text"));
    assert_eq!(
        param_faults(&params),
        [
            "parameter #1 name invalid-param-name".to_owned(),
            "parameter a=b name invalid-param-name".to_owned(),
            "parameter a\n name invalid-param-name".to_owned(),
            format!("parameter {}… name invalid-param-name", "x".repeat(100)),
        ]
    );
    assert_eq!(param_faults(&[param("p", "bool")]), ["parameter p kind unknown-word"]);
    assert_eq!(check(&[], &[param(&"é".repeat(128), "text")]).map(|checked| checked.params.len()), Ok(1));
}

#[test]
fn a_choice_has_choices_and_nothing_else_has() {
    assert_eq!(param_faults(&[param("p", "choice")]), ["parameter p choices missing-choices"]);
    let text = ParamDraft { choices: owned(&["a"]), ..param("p", "text") };
    assert_eq!(param_faults(&[text]), ["parameter p choices choices-without-choice"]);
    let choice = ParamDraft { choices: owned(&["a", "b"]), given: Some("b".into()), ..param("p", "choice") };
    let params = check(&[], &[choice]).expect("the parameter has no fault").params;
    assert_eq!(params[0].kind, ParamKind::Choice(owned(&["a", "b"])));
}

#[test]
fn defaults_and_values_fit_the_kind() {
    for (kind, good, bad) in [
        ("integer", ["0", "-9223372036854775808"], ["", "1.5"]),
        ("number", ["-1.5e3", "7"], ["inf", "seven"]),
        ("boolean", ["true", "false"], ["yes", "True"]),
        ("text", ["", "any\nthing"], ["\u{0}", ""]),
    ] {
        for good in good {
            let value = Some(good.to_owned());
            let draft = ParamDraft { default: value.clone(), given: value.clone(), ..param("p", kind) };
            assert_eq!(param_value(&draft), Ok(value), "{kind}");
            assert!(check(&[], &[draft]).is_ok());
        }
        for bad in bad.into_iter().filter(|_| kind != "text") {
            let value = Some(bad.to_owned());
            let draft = ParamDraft { default: value.clone(), given: value.clone(), ..param("p", kind) };
            assert!(param_value(&draft).is_err(), "{kind}");
            assert_eq!(param_faults(&[draft]), ["parameter p default unfit-value", "parameter p value unfit-value"]);
        }
    }
}

#[test]
fn a_required_parameter_has_to_be_given_whatever_its_default() {
    let draft = ParamDraft { required: true, default: Some("x".into()), ..param("p", "text") };
    assert_eq!(param_faults(std::slice::from_ref(&draft)), ["parameter p value missing-value"]);
    assert!(param_value(&draft).is_err());
    let given = ParamDraft { given: Some("y".into()), ..draft };
    assert_eq!(param_value(&given), Ok(Some("y".into())));
}

#[test]
fn the_value_of_a_parameter_is_what_was_given_or_else_the_default() {
    let draft = ParamDraft { name: "p".into(), ..ParamDraft::default() };
    assert_eq!(param_value(&draft), Ok(None));
    let draft = ParamDraft { default: Some("d".into()), ..draft };
    assert_eq!(param_value(&draft), Ok(Some("d".into())));
    let draft = ParamDraft { given: Some("g".into()), ..draft };
    assert_eq!(param_value(&draft), Ok(Some("g".into())));
}

#[test]
fn an_unfit_value_is_answered_with_what_would_fit() {
    let draft = ParamDraft { choices: owned(&["a", "b"]), given: Some("c".into()), ..param("p", "choice") };
    assert_eq!(
        param_value(&draft),
        Err(r#"parameter "p", value: "c" is not one of the choices; give one of "a", "b""#.to_owned())
    );
}

#[test]
fn a_parameter_that_is_declared_once_more_is_declared_alike() {
    let first = ParamDraft { default: Some("1".into()), ..param("p", "text") };
    let alike = ParamDraft { kind: None, ..first.clone() };
    let params = check(&[], &[first.clone(), alike.clone()]).expect("they are alike").params;
    assert_eq!(params.len(), 1);
    let otherwise = [
        ParamDraft { kind: Some("integer".into()), ..first.clone() },
        ParamDraft { default: None, ..first.clone() },
        ParamDraft { required: true, given: Some("1".into()), ..first.clone() },
        ParamDraft { description: Some("words".into()), ..first.clone() },
    ];
    let fields = ["kind", "default", "required", "description"];
    let mut all = vec![first, alike];
    all.extend(otherwise);
    assert_eq!(param_faults(&all), fields.map(|field| format!("parameter p {field} declared-otherwise")));
}
