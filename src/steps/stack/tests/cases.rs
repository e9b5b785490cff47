//! Projects that were once planned as they would not run.

use super::*;

/// A name that the host would never find again, so that each plan would send it.
#[test]
fn file_name_right_to_left() {
    let case = Case::new(&[("compose.yaml", NOTES), ("a\u{200f}b.conf", "x")]);
    let project = Project::load(case.folder.path(), None).expect("a project");
    let refused = Bundle::collect(case.folder.path(), &case.options.choice(&project, true));
    let text = refused.expect_err("a name that hides something").to_string();
    assert!(text.contains("hides or reorders text") && text.ends_with("rename it"), "{text}");
}

/// That the plan was made with a file which the host does not get.
fn warnings_of(case: &Case) -> Vec<String> {
    let warnings = case.plan().expect("a plan").warnings;
    warnings.into_iter().filter(|text| text.contains("the project reads")).collect()
}

#[test]
fn ignored_env() {
    let compose = "services:\n  app:\n    image: a:${TAG}\n";
    let files = [("compose.yaml", compose), (".env", "TAG=2\n")];
    assert_eq!(warnings_of(&Case::new(&files)), [""; 0]);
    for ignored in [".env", ".*", "*.env"] {
        let case = Case::new(&files);
        case.write(".provisionignore", ignored);
        assert_eq!(
            warnings_of(&case),
            [
                "the project reads .env, and it is not sent: this plan was made with it, and on the host Compose runs \
              without it; take it out of .provisionignore and of `ignore` in [steps.stack]"
            ],
            "{ignored}"
        );
    }
    // By the settings, and an override.
    let mut case = Case::new(&files);
    case.write("compose.override.yaml", "services: {app: {image: b}}\n");
    case.options.ignore = vec!["*.override.yaml".into()];
    assert!(
        warnings_of(&case)[0].starts_with("the project reads compose.override.yaml, and it is not sent: ")
    );
}

#[test]
fn ignored_env_file() {
    let compose = "services:\n  app:\n    image: a\n    env_file: [conf/app.env]\n";
    for ignored in ["conf/app.env", "conf/", "*.env"] {
        let case = Case::new(&[("compose.yaml", compose), ("conf/app.env", "A=1\n")]);
        assert_eq!(warnings_of(&case), [""; 0]);
        case.write(".provisionignore", ignored);
        let warnings = warnings_of(&case);
        assert_eq!(warnings.len(), 1, "{ignored}");
        assert!(
            warnings[0].starts_with("the project reads conf/app.env, and it is not sent: "),
            "{warnings:?}"
        );
    }
}

#[test]
fn late_env_file_absolute() {
    let compose = "services:\n  app:\n    image: a\n    env_file: /nope/x.env\n";
    let mut case = Case::new(&[("compose.yaml", compose)]);
    case.facts.files.insert("/nope/x.env".into(), None);
    let refused = case.plan().expect_err("the host does not have it");
    assert_eq!(refused.details, ["compose.yaml:4: the env_file /nope/x.env"]);
    put(&mut case.facts, "/nope/x.env", "A=1\n");
    assert!(case.plan().is_ok());
}
