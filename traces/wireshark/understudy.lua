-- TLPs, input descriptors and commit records of `understudy run --captures all`, for Wireshark and tshark:
--   tshark -X lua_script:traces/wireshark/understudy.lua -r results/capture.pcapng
local encapsulations = wtap_encaps or wtap

-- ---------------------------------------------------------------- TLPs (link type USER0)

local tlp = Proto("understudy_tlp", "PCI Express TLP")
local kinds = {
  [0x00] = "MRd", [0x20] = "MRd64", [0x40] = "MWr", [0x60] = "MWr64",
  [0x04] = "CfgRd", [0x44] = "CfgWr", [0x0a] = "Cpl", [0x4a] = "CplD",
  [0x30] = "Msg",
}
local messages = { [0x30] = "ERR_COR", [0x31] = "ERR_NONFATAL", [0x33] = "ERR_FATAL" }
local t = {
  direction = ProtoField.uint8("understudy_tlp.direction", "Direction", base.DEC, { [0] = "to the host", [1] = "to the adapter" }),
  kind = ProtoField.string("understudy_tlp.type", "Type"),
  words = ProtoField.uint16("understudy_tlp.words", "Length in DW"),
  address = ProtoField.uint64("understudy_tlp.address", "Address", base.HEX),
  first = ProtoField.uint8("understudy_tlp.first_be", "First byte enables", base.HEX),
  last = ProtoField.uint8("understudy_tlp.last_be", "Last byte enables", base.HEX),
  tag = ProtoField.uint16("understudy_tlp.tag", "Tag"),
  status = ProtoField.uint8("understudy_tlp.status", "Completion status", base.DEC, { [0] = "successful", [1] = "Unsupported Request", [4] = "Completer Abort" }),
  bytes = ProtoField.uint16("understudy_tlp.byte_count", "Byte count"),
  lower = ProtoField.uint8("understudy_tlp.lower_address", "Lower address", base.HEX),
  message = ProtoField.uint8("understudy_tlp.message", "Message code", base.HEX, messages),
  poisoned = ProtoField.bool("understudy_tlp.poisoned", "Poisoned (EP)"),
  relaxed = ProtoField.bool("understudy_tlp.relaxed", "Relaxed Ordering"),
  interrupt = ProtoField.bool("understudy_tlp.interrupt", "Interrupt message"),
}
tlp.fields = t

-- A field of `bits` bits in which the largest value is written as 0 (PCIe 2.2.2, 2.2.9).
local function full_if_zero(value, bits)
  return value == 0 and bit.lshift(1, bits) or value
end

function tlp.dissector(buffer, info, tree)
  if buffer:captured_len() < 16 or buffer(0, 1):uint() ~= 1 then return 0 end
  info.cols.protocol = "TLP"
  local root = tree:add(tlp, buffer())
  root:add(t.direction, buffer(1, 1))
  local code = buffer(4, 1):uint()
  local kind = kinds[code] or string.format("unknown 0x%02x", code)
  root:add(t.kind, buffer(4, 1), kind)
  local words = bit.band(buffer(6, 2):uint(), 0x3ff)
  if kind ~= "Cpl" and kind ~= "Msg" then words = full_if_zero(words, 10) end
  root:add(t.words, buffer(6, 2), words)
  if bit.band(buffer(6, 1):uint(), 0x40) ~= 0 then root:add(t.poisoned, buffer(6, 1), true) end
  if bit.band(buffer(6, 1):uint(), 0x20) ~= 0 then root:add(t.relaxed, buffer(6, 1), true) end
  -- Bits 9 and 8 of a tag stand in the first word (PCIe 2.2.6.2).
  local high = bit.band(buffer(5, 1):uint(), 0x80) * 4 + bit.band(buffer(5, 1):uint(), 0x08) * 32
  if kind == "Cpl" or kind == "CplD" then
    local tag = high + buffer(14, 1):uint()
    root:add(t.tag, buffer(14, 1), tag)
    root:add(t.status, buffer(10, 1), bit.rshift(buffer(10, 1):uint(), 5))
    local left = full_if_zero(bit.band(buffer(10, 2):uint(), 0xfff), 12)
    root:add(t.bytes, buffer(10, 2), left)
    root:add(t.lower, buffer(15, 1), bit.band(buffer(15, 1):uint(), 0x7f))
    info.cols.info = string.format("%s tag %d, %d bytes left", kind, tag, left)
    return buffer:len()
  end
  if kind == "Msg" then
    local what = buffer(11, 1):uint()
    root:add(t.message, buffer(11, 1))
    info.cols.info = string.format("Msg %s", messages[what] or string.format("0x%02x", what))
    return buffer:len()
  end
  if kind ~= "MWr" and kind ~= "MWr64" then root:add(t.tag, buffer(10, 1), high + buffer(10, 1):uint()) end
  root:add(t.last, buffer(11, 1), bit.rshift(buffer(11, 1):uint(), 4))
  root:add(t.first, buffer(11, 1), bit.band(buffer(11, 1):uint(), 0xf))
  local where = bit.band(code, 0x20) ~= 0 and buffer(12, 8) or buffer(12, 4)
  local address = where:uint64()
  root:add(t.address, where, address)
  if kind == "MWr" and buffer(12, 4):uint() >= 0xfee00000 and buffer(12, 4):uint() < 0xfef00000 then
    root:add(t.interrupt, where, true)
  end
  info.cols.info = string.format("%s 0x%s, %d DW", kind, address:tohex(), words)
  return buffer:len()
end

-- ---------------------------------------------------------------- descriptors (link type USER1)

local descriptor = Proto("understudy_descriptor", "Understudy descriptor")
local opcodes = {
  [0] = "NOP", "SET_ADDRESS", "LISTEN", "UNLISTEN", "CONNECT", "SEND", "POST_RX", "POST_POOL", "CLOSE", "ABORT", "RESTORE", "SET_OPTIONS",
  "FLUSH", "ACCEPTED", "SEND_RAW", "SET_GROUP", "INLINE",
}
local records = {
  [0] = "NONE", "EMBRYO", "ESTABLISHED", "DATA", "ACKED", "ABORTED", "CLOSED", "CREDIT", "REFUSED", "TIME_WAIT", "RAW",
  "TX_STOPPED",
}
local d = {
  ring = ProtoField.string("understudy_descriptor.ring", "Ring"),
  opcode = ProtoField.uint8("understudy_descriptor.opcode", "Opcode", base.DEC, opcodes),
  record = ProtoField.uint8("understudy_descriptor.record", "Record", base.DEC, records),
  flags = ProtoField.uint8("understudy_descriptor.flags", "Flags", base.HEX),
  index = ProtoField.uint16("understudy_descriptor.index", "Index, low 16 bits"),
  epoch = ProtoField.uint16("understudy_descriptor.epoch", "Epoch"),
  cid = ProtoField.uint32("understudy_descriptor.cid", "Connection", base.HEX),
  number = ProtoField.uint32("understudy_descriptor.number", "Number"),
  rcv_nxt = ProtoField.uint32("understudy_descriptor.rcv_nxt", "RCV.NXT"),
  snd_una = ProtoField.uint32("understudy_descriptor.snd_una", "SND.UNA"),
  idt_head = ProtoField.uint32("understudy_descriptor.idt_head", "Input descriptors consumed"),
  about = ProtoField.string("understudy_descriptor.about", "Ring of the frames that are over"),
  last = ProtoField.uint32("understudy_descriptor.last", "Last descriptor of the newest of them"),
  crc = ProtoField.uint32("understudy_descriptor.crc", "CRC-32C", base.HEX),
}
descriptor.fields = d
local outbound = Field.new("frame.packet_flags_direction")
local interface = Field.new("frame.interface_name")

-- The ring that the packet is of: an interface tx_A0 carries what is written into transmit queue 0 of adapter A.
local function written_ring()
  local name = interface()
  local queue = name and tostring(name.value):match("^tx_%u(%d)$")
  return queue and "transmit " .. queue or "input"
end
-- The ring that a record of the output table is about.
local function reported_ring(number)
  return number == 0 and "input" or string.format("transmit %d", number - 1)
end

function descriptor.dissector(buffer, info, tree)
  if buffer:captured_len() ~= 64 then return 0 end
  info.cols.protocol = "DESC"
  local root = tree:add(descriptor, buffer())
  local way = outbound()
  local first = buffer(0, 1):uint()
  if way and way.value == 2 then  -- adapter to host: a commit record
    root:add(d.ring, "output")
    root:add(d.record, buffer(0, 1))
    root:add_le(d.epoch, buffer(2, 2))
    root:add_le(d.number, buffer(8, 4))
    root:add_le(d.rcv_nxt, buffer(12, 4))
    root:add_le(d.snd_una, buffer(16, 4))
    root:add_le(d.idt_head, buffer(28, 4))
    info.cols.info = string.format("record %d %s", buffer(8, 4):le_uint(), records[first] or "?")
    if first == 10 or first == 11 then  -- RAW, TX_STOPPED
      local about = reported_ring(buffer(44, 4):le_uint())
      root:add(d.about, buffer(44, 4), about)
      root:add_le(d.last, buffer(40, 4))
      info.cols.info:append(string.format(" %s to %d", about, buffer(40, 4):le_uint()))
    end
  else
    local ring = written_ring()
    root:add(d.ring, ring)
    root:add(d.opcode, buffer(0, 1))
    root:add_le(d.index, buffer(2, 2))
    info.cols.info = string.format("%sdescriptor %d %s", ring == "input" and "" or ring .. " ", buffer(2, 2):le_uint(), opcodes[first] or "?")
  end
  root:add(d.flags, buffer(1, 1))
  root:add_le(d.cid, buffer(4, 4))
  root:add_le(d.crc, buffer(60, 4))
  return buffer:len()
end

local table_of_links = DissectorTable.get("wtap_encap")
table_of_links:add(encapsulations.USER0, tlp)
table_of_links:add(encapsulations.USER1, descriptor)
