//! `params`.

use std::cell::RefCell;
use std::rc::Rc;

use super::types::Error;
use super::world::{Phase, with};
use crate::testing::DeclaredParam;

#[derive(Debug)]
pub struct Param {
    declared: Rc<RefCell<DeclaredParam>>,
}

impl Param {
    pub fn new(name: &str) -> Self {
        let declared = with(|world| {
            let given = world.given.params.get(name).cloned();
            let declared =
                DeclaredParam { name: name.to_owned(), kind: "text".to_owned(), given, ..DeclaredParam::default() };
            let declared = Rc::new(RefCell::new(declared));
            if world.phase == Phase::Define {
                world.told.params.push(Rc::clone(&declared));
            }
            declared
        });
        Self { declared }
    }

    pub fn kind(&self, kind: &str) {
        self.declared.borrow_mut().kind = kind.to_owned();
    }

    pub fn choices(&self, values: &[String]) {
        self.declared.borrow_mut().choices = values.to_vec();
    }

    pub fn default(&self, value: &str) {
        self.declared.borrow_mut().default = Some(value.to_owned());
    }

    pub fn required(&self) {
        self.declared.borrow_mut().required = true;
    }

    pub fn description(&self, text: &str) {
        self.declared.borrow_mut().description = Some(text.to_owned());
    }

    pub fn value(&self) -> Result<Option<String>, Error> {
        if with(|world| world.phase != Phase::Define) {
            return Err(Error::Conflict("parameters are declared in the script's function only".to_owned()));
        }
        let declared = self.declared.borrow();
        let value = declared.given.as_ref().or(declared.default.as_ref());
        match value.and_then(|value| declared.unfit(value)) {
            Some(why) => Err(Error::Invalid(why)),
            None => Ok(value.cloned()),
        }
    }
}

pub fn get(name: &str) -> Result<Option<String>, Error> {
    Ok(with(|world| world.given.params.get(name).cloned()))
}

pub fn names() -> Result<Vec<String>, Error> {
    Ok(with(|world| world.given.params.keys().cloned().collect()))
}
