//! Owns how the server's descriptions of a statement are read. Must not know which statement it is.

use std::sync::OnceLock;

use super::{
    body::{Body, lossy},
    prepared::Column,
    report::Fault,
};

/// The types of a ParameterDescription.
pub(super) fn params(body: &[u8]) -> Result<Vec<u32>, Fault> {
    let mut body = Body(body);
    let count = body.u16()?;
    let params = (0..count).map(|_| body.u32()).collect::<Result<_, _>>()?;
    body.end()?;
    Ok(params)
}

/// The columns of a RowDescription, or none for NoData.
pub(super) fn columns(tag: u8, body: &[u8]) -> Result<Box<[Column]>, Fault> {
    let mut body = Body(body);
    if tag == b'n' {
        return Ok(Box::default());
    }
    let count = body.u16()?;
    let column = |_| {
        let name = lossy(body.text()?);
        let [_table, _number] = [body.u32()?, u32::from(body.u16()?)];
        let oid = body.u32()?;
        let _size_modifier_and_format: [u8; 8] = body.bytes()?;
        let r#type = OnceLock::new();
        Ok(Column { name, oid, r#type })
    };
    let columns = (0..count).map(column).collect::<Result<_, _>>()?;
    body.end()?;
    Ok(columns)
}
