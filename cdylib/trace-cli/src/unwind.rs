//! From a copy of registers and stack to the functions that had called each other.

use crate::recording::{Recording, number, small, text};
use crate::symbols::{Bytes, Frame, Module, Symbols};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameHdr, EvaluationResult, Location, Register, RegisterRule,
    UnwindContext, UnwindExpression, UnwindSection, Value,
};
use mtsafe_env_trace_layout as layout;

/// Frames of a stack, inlined ones not counted.
const MOST: usize = 64;
/// `EM_X86_64`.
const X86_64: u32 = 62;

/// A mapping of the process.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    start: u64,
    end: u64,
    offset: u64,
    pub(crate) path: String,
}

/// The executable mappings, the latest last.
pub(crate) fn mappings(recording: &Recording) -> Vec<Mapping> {
    let mapping = |module: &layout::Module| Mapping {
        start: number(&module.start),
        end: number(&module.end),
        offset: number(&module.offset),
        path: text(&module.path).trim_end_matches(" (deleted)").into(),
    };
    recording.modules().map(mapping).collect()
}

/// Which registers mean what, by their DWARF numbers.
#[derive(Clone, Copy)]
struct Machine {
    stack_pointer: u16,
    frame_pointer: u16,
    return_address: u16,
}

fn machine(recording: &Recording) -> Machine {
    if small(&recording.header().machine) == X86_64 {
        let (stack_pointer, return_address) = (layout::X86_64_STACK_POINTER, layout::X86_64_RETURN_ADDRESS);
        Machine {
            stack_pointer: stack_pointer as u16,
            frame_pointer: 6,
            return_address: return_address as u16,
        }
    } else {
        let (stack_pointer, return_address) = (layout::AARCH64_STACK_POINTER, layout::AARCH64_LINK);
        Machine {
            stack_pointer: stack_pointer as u16,
            frame_pointer: 29,
            return_address: return_address as u16,
        }
    }
}

/// Registers of one frame.
type Registers = [Option<u64>; 33];

/// A copied stack.
struct Memory<'a>(u64, &'a layout::Stack);

impl Memory<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let offset = address.checked_sub(self.0)?;
        let inside = offset % 8 == 0 && offset + 8 <= number(&self.1.length);
        inside.then(|| self.1.words.get(offset as usize / 8).map(number))?
    }
}

/// The stack of a place: the caller first. Without a copy, the caller alone.
pub(crate) fn stack(
    recording: &Recording,
    mappings: &[Mapping],
    symbols: &mut Symbols,
    index_and_1: u32,
    caller: u64,
) -> Vec<Frame> {
    let machine = machine(recording);
    let mut frames = Vec::new();
    let Some(copy) = recording.stack(index_and_1) else {
        push(&mut frames, mappings, symbols, caller, true);
        return frames;
    };
    let mut registers: Registers = std::array::from_fn(|i| copy.registers.get(i).map(number));
    let memory = Memory(registers[usize::from(machine.stack_pointer)].unwrap_or(0), copy);
    // A return address is behind the call; that of a signal's frame is the instruction itself.
    let mut behind_call = true;
    for _ in 0..MOST {
        let Some(pc) = registers[usize::from(machine.return_address)].filter(|&pc| pc > 4096) else { break };
        push(&mut frames, mappings, symbols, pc, behind_call);
        let Some((path, address)) = locate(mappings, symbols, pc - u64::from(behind_call)) else { break };
        let module = symbols.module(&path);
        let before = registers[usize::from(machine.stack_pointer)];
        match step(module, address, &registers, &memory, machine) {
            Some((caller, signal)) => (registers, behind_call) = (caller, !signal),
            None => match by_frame_pointer(&registers, &memory, machine) {
                Some(caller) => (registers, behind_call) = (caller, true),
                None => break,
            },
        }
        // A stack only goes upwards; anything else is a damaged table, or a copy that is not complete.
        if registers[usize::from(machine.stack_pointer)] <= before {
            break;
        }
    }
    frames
}

/// The file at this address, and the address in it.
fn locate(mappings: &[Mapping], symbols: &mut Symbols, address: u64) -> Option<(String, u64)> {
    let mapping = mappings.iter().rev().find(|mapping| (mapping.start..mapping.end).contains(&address))?;
    let module = symbols.module(&mapping.path);
    Some((mapping.path.clone(), module.address_of(address - mapping.start + mapping.offset)))
}

fn push(frames: &mut Vec<Frame>, mappings: &[Mapping], symbols: &mut Symbols, pc: u64, behind_call: bool) {
    let frame = Frame { address: pc, ..Frame::default() };
    let Some((module, address)) = locate(mappings, symbols, pc - u64::from(behind_call)) else {
        return frames.push(frame);
    };
    let frame = Frame { offset: address + u64::from(behind_call), module, ..frame };
    let functions = symbols.module(&frame.module).functions(address);
    if functions.is_empty() {
        frames.push(frame);
    } else {
        frames.extend(functions.into_iter().map(|(function, location)| Frame {
            function,
            location,
            ..frame.clone()
        }));
    }
}

/// The caller's registers by the file's tables, and whether it was interrupted by a signal rather than called.
fn step(
    module: &Module,
    address: u64,
    registers: &Registers,
    memory: &Memory<'_>,
    machine: Machine,
) -> Option<(Registers, bool)> {
    let (frame_at, frame_bytes) = module.eh_frame?;
    let mut bases = BaseAddresses::default().set_eh_frame(frame_at).set_text(module.text);
    let mut tables = EhFrame::from(frame_bytes);
    tables.set_address_size(8);
    let fde = match module.eh_frame_hdr {
        Some((at, bytes)) => {
            bases = bases.set_eh_frame_hdr(at);
            let header = EhFrameHdr::from(bytes).parse(&bases, 8).ok()?;
            header.table()?.fde_for_address(&tables, &bases, address, EhFrame::cie_from_offset).ok()?
        }
        None => tables.fde_for_address(&bases, address, EhFrame::cie_from_offset).ok()?,
    };
    let mut context = UnwindContext::new();
    let row = fde.unwind_info_for_address(&tables, &bases, &mut context, address).ok()?;
    let encoding = fde.cie().encoding();
    let evaluate = |expression: &UnwindExpression<usize>, initial: Option<u64>| {
        evaluate(expression.get(&tables).ok()?, encoding, registers, memory, initial)
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => {
            (*registers.get(usize::from(register.0))?)?.wrapping_add_signed(*offset)
        }
        CfaRule::Expression(expression) => evaluate(expression, None)?,
    };
    let mut caller = *registers;
    for (number, value) in caller.iter_mut().enumerate() {
        *value = match row.register(Register(number as u16)) {
            RegisterRule::Undefined if number == usize::from(machine.return_address) => {
                // On x86-64 no rule for it: the outermost frame. On aarch64 it stays where it is in a leaf.
                if number == usize::from(machine.return_address) && machine.frame_pointer == 29 {
                    registers[number]
                } else {
                    None
                }
            }
            // Registers that the tables do not mention are kept.
            RegisterRule::Undefined | RegisterRule::SameValue => registers[number],
            RegisterRule::Offset(offset) => memory.word(cfa.wrapping_add_signed(offset)),
            RegisterRule::ValOffset(offset) => Some(cfa.wrapping_add_signed(offset)),
            RegisterRule::Register(other) => *registers.get(usize::from(other.0))?,
            RegisterRule::Expression(expression) => {
                evaluate(&expression, Some(cfa)).and_then(|at| memory.word(at))
            }
            RegisterRule::ValExpression(expression) => evaluate(&expression, Some(cfa)),
            _ => None,
        };
    }
    // Where a caller's stack pointer is restored from memory (a signal's frame), that is it.
    if matches!(
        row.register(Register(machine.stack_pointer)),
        RegisterRule::Undefined | RegisterRule::SameValue
    ) {
        caller[usize::from(machine.stack_pointer)] = Some(cfa);
    }
    Some((caller, fde.is_signal_trampoline()))
}

fn evaluate(
    expression: gimli::Expression<Bytes>,
    encoding: gimli::Encoding,
    registers: &Registers,
    memory: &Memory<'_>,
    initial: Option<u64>,
) -> Option<u64> {
    let mut evaluation = expression.evaluation(encoding);
    evaluation.set_max_iterations(1000);
    if let Some(initial) = initial {
        evaluation.set_initial_value(initial);
    }
    let mut state = evaluation.evaluate().ok()?;
    loop {
        state = match state {
            EvaluationResult::Complete => break,
            EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                evaluation.resume_with_memory(Value::Generic(memory.word(address)?)).ok()?
            }
            EvaluationResult::RequiresRegister { register, .. } => {
                let value = (*registers.get(usize::from(register.0))?)?;
                evaluation.resume_with_register(Value::Generic(value)).ok()?
            }
            _ => return None,
        };
    }
    match evaluation.as_result().first()?.location {
        Location::Address { address } => Some(address),
        _ => None,
    }
}

/// The caller's registers if the frame pointer is used as the machine's convention says: code without tables, or made at run time.
fn by_frame_pointer(registers: &Registers, memory: &Memory<'_>, machine: Machine) -> Option<Registers> {
    let frame = registers[usize::from(machine.frame_pointer)]?;
    let mut caller = *registers;
    caller[usize::from(machine.frame_pointer)] = Some(memory.word(frame)?);
    caller[usize::from(machine.return_address)] = Some(memory.word(frame + 8)?);
    caller[usize::from(machine.stack_pointer)] = Some(frame + 16);
    Some(caller)
}
