/// Bus master: moves bytes between host memory and the adapter's packet memory, in requests that obey the rules of PCI Express.
/// The twin is model/core/dma_block.{h,cpp}: the same requests, payload, reports and bytes, and a count of cycles.
///
/// Descriptors in, one a handshake; OpWrite (packet memory to host), OpRead (host to packet memory), OpFlush (a zero-length read
/// that stays behind the writes before it: its answer proves them, PCIe 2.4.1). Writes and flushes keep their order, reads theirs;
/// between the two kinds the link is shared in turn, request by request. Addresses and lengths are any number of bytes.
///
/// Requests out (tx_*), one or more beats each, tx_first_o to tx_last_o; address, length, op and tag hold during all of them. A
/// request lies in whole DWs of at most mps_i (write) or mrrs_i (read) bytes and never crosses 4 KiB (PCIe 2.2.7). A write's
/// payload is packed from tx_data_o[7:0] on, tx_keep_o without a hole. A read or flush is one beat without data.
///
/// Completions in (cpl_*), packed likewise, of different tags in any order and mingled packet by packet, of one tag in order of
/// address. cpl_length_i and the others are sampled with cpl_first_i. cpl_ok_i low ends the request in failure.
///
/// Packet memory: beat addresses, bytes in their lanes. Data asked for on ram_rd_* come back in order (ram_rd_data_valid_i), at any
/// later cycle, and are always taken. Writes carry byte strobes.
///
/// Reports out (done_*), one a descriptor: id, status and the bytes moved. A write is reported when its last beat has left, a read
/// when its last byte is in packet memory, refused descriptors as soon as they are seen: order only within writes with flushes.
///
/// Latency: a read's request is on tx_* 3 cycles after the descriptor was accepted; a write's first beat 4 after it plus the packet
/// memory's own, 1 more from an unaligned source. A completion's beat is on ram_wr_* 1 cycle after it was accepted; the report
/// follows the last one by 2.
/// Throughput: one beat a cycle each way. A write from an unaligned source costs 1 cycle more a request, unless a read goes out in
/// it; a completion whose bytes reach into one more beat of packet memory than it has, 1 cycle more.
/// Back-pressure: every output is stable until taken, valid never waits for ready, on each of the five ready/valid ports apart. A
/// waiting tx port stops requests, not completions; waiting reports stop both at last. Requests wait for one of tags_i tags, and
/// reads for one of Slots report slots, which are used in order.
/// Bad input: length 0 or above 2^20, or a range beyond the address space, is refused: nothing moves. no_fragment asks for one
/// request or none: a range that does not start at a multiple of AtomicBytes or is longer is refused. A completion without a
/// request of its tag is dropped and counted; one longer than what is missing, or empty, fails its request.
`default_nettype none

module dma_engine #(
  parameter int unsigned DataBytes = 32,  // 8, 16, 32 or 64
  parameter int unsigned Tags = 64        // a power of two, 2 to 256
) (
  input  wire logic                   clk_i,
  input  wire logic                   rst_ni,  // synchronous, active low
  // limits; stable while anything is under way
  input  wire logic [12:0]            mps_i,   // bytes, a power of two, 128 to 4096
  input  wire logic [12:0]            mrrs_i,
  input  wire logic [8:0]             tags_i,  // requests outstanding at most, 1 to Tags; tags are below it
  // descriptors
  input  wire logic                   desc_valid_i,
  output logic                        desc_ready_o,
  input  wire logic [1:0]             desc_op_i,
  input  wire logic                   desc_no_fragment_i,
  input  wire logic [63:0]            desc_address_i,
  input  wire logic [31:0]            desc_local_i,
  input  wire logic [31:0]            desc_length_i,  // OpFlush: ignored
  input  wire logic [15:0]            desc_id_i,
  // requests
  output logic                        tx_valid_o,
  input  wire logic                   tx_ready_i,
  output logic                        tx_first_o,
  output logic                        tx_last_o,
  output logic [1:0]                  tx_op_o,
  output logic [63:0]                 tx_address_o,
  output logic [12:0]                 tx_length_o,
  output logic [7:0]                  tx_tag_o,  // reads and flushes
  output logic [15:0]                 tx_id_o,   // of the descriptor
  output logic [8*DataBytes-1:0]      tx_data_o,
  output logic [DataBytes-1:0]        tx_keep_o,
  // completions
  input  wire logic                   cpl_valid_i,
  output logic                        cpl_ready_o,
  input  wire logic                   cpl_first_i,
  input  wire logic                   cpl_last_i,
  input  wire logic                   cpl_ok_i,
  input  wire logic [7:0]             cpl_tag_i,
  input  wire logic [12:0]            cpl_length_i,
  input  wire logic [8*DataBytes-1:0] cpl_data_i,
  // packet memory
  output logic                        ram_rd_valid_o,
  input  wire logic                   ram_rd_ready_i,
  output logic [31:0]                 ram_rd_address_o,
  input  wire logic                   ram_rd_data_valid_i,
  input  wire logic [8*DataBytes-1:0] ram_rd_data_i,
  output logic                        ram_wr_valid_o,
  input  wire logic                   ram_wr_ready_i,
  output logic [31:0]                 ram_wr_address_o,
  output logic [8*DataBytes-1:0]      ram_wr_data_o,
  output logic [DataBytes-1:0]        ram_wr_strobe_o,
  // reports
  output logic                        done_valid_o,
  input  wire logic                   done_ready_i,
  output logic [15:0]                 done_id_o,
  output logic [1:0]                  done_status_o,
  output logic [20:0]                 done_bytes_o,
  output logic [15:0]                 unexpected_o  // completions dropped; wraps
);
  if (!(DataBytes inside {8, 16, 32, 64})) begin : gen_bad_width
    $fatal(1, "dma_engine: DataBytes must be 8, 16, 32 or 64");
  end
  if (Tags < 2 || Tags > 256 || (Tags & (Tags - 1)) != 0) begin : gen_bad_tags
    $fatal(1, "dma_engine: Tags must be a power of two, 2 to 256");
  end

  localparam int unsigned LaneBits = $clog2(DataBytes);
  localparam int unsigned TagBits = $clog2(Tags);
  localparam int unsigned Slots = Tags;  // as many reads as can have a request outstanding
  localparam int unsigned SlotBits = $clog2(Slots);
  localparam int unsigned RamDepth = 16;  // beats of packet memory asked for or waiting
  localparam int unsigned AtomicBytes = 64;

  typedef logic [8*DataBytes-1:0] beat_t;
  typedef logic [LaneBits-1:0] lane_t;
  typedef logic [TagBits-1:0] tag_t;
  typedef logic [SlotBits-1:0] slot_t;

  localparam logic [1:0] OpWrite = 2'd0;
  localparam logic [1:0] OpRead = 2'd1;
  localparam logic [1:0] OpFlush = 2'd2;

  localparam logic [1:0] StatusOk = 2'd0;
  localparam logic [1:0] StatusBadDescriptor = 2'd1;
  localparam logic [1:0] StatusNotAtomic = 2'd2;
  localparam logic [1:0] StatusFailed = 2'd3;

  typedef struct packed {
    logic [63:0] address;
    logic [31:0] local_address;
    logic [20:0] length;
    logic [15:0] id;
  } desc_t;

  typedef struct packed {
    logic        flush;
    logic        last;  // of its descriptor
    logic [63:0] address;
    lane_t       lane;  // of the first byte in packet memory
    logic [12:0] length;
    logic [20:0] total;  // bytes of the descriptor
    logic [15:0] id;
  } piece_t;

  typedef struct packed {
    logic [31:0] local_address;
    logic [12:0] length;
  } fetch_t;

  typedef struct packed {
    logic [15:0] id;
    logic [1:0]  status;
    logic [20:0] bytes;
  } report_t;

  // The first request of `left` bytes at `address`.
  function automatic logic [12:0] first_piece(logic [11:0] address, logic [20:0] left, logic [12:0] limit);
    logic [12:0] n;
    n = 13'd4096 - {1'b0, address};
    if (limit - 13'(address[1:0]) < n) n = limit - 13'(address[1:0]);
    if (left < 21'(n)) n = left[12:0];
    return n;
  endfunction

  // The first `count` lanes.
  function automatic logic [DataBytes-1:0] lanes(logic [LaneBits:0] count);
    return DataBytes'(((DataBytes + 1)'(1) << count) - 1'b1);
  endfunction

  // ---- 1. Intake: refuse, or queue by kind.
  desc_t   desc;
  report_t refusal;
  logic    refused;
  logic    wdesc_push, wdesc_ready, wdesc_valid, wdesc_pop;
  logic    rdesc_push, rdesc_ready, rdesc_valid, rdesc_pop;
  logic    refused_push, refused_ready, refused_valid, refused_pop;
  desc_t   wdesc, rdesc;
  logic    wdesc_flush;
  report_t refused_report;
  logic [64:0] desc_end;
  always_comb begin
    desc = '{
        address: desc_address_i,
        local_address: desc_local_i,
        length: desc_length_i[20:0],
        id: desc_id_i
    };
    desc_end = {1'b0, desc_address_i} + 65'(desc_length_i);
    refusal = '{id: desc_id_i, status: StatusOk, bytes: '0};
    if (desc_op_i == 2'd3) begin
      refusal.status = StatusBadDescriptor;
    end else if (desc_op_i != OpFlush) begin
      if (desc_length_i == '0 || desc_length_i > 32'd1 << 20 || (desc_end[64] && desc_end[63:0] != '0)) begin
        refusal.status = StatusBadDescriptor;
      end else if (desc_no_fragment_i && (desc_address_i % 64'(AtomicBytes) != '0 || desc_length_i > AtomicBytes)) begin
        refusal.status = StatusNotAtomic;
      end
    end
    refused = refusal.status != StatusOk;
    desc_ready_o = refused ? refused_ready : desc_op_i == OpRead ? rdesc_ready : wdesc_ready;
    refused_push = desc_valid_i && desc_ready_o && refused;
    rdesc_push = desc_valid_i && desc_ready_o && !refused && desc_op_i == OpRead;
    wdesc_push = desc_valid_i && desc_ready_o && !refused && desc_op_i != OpRead;
  end
  sync_fifo #(.Width($bits(desc_t) + 1), .Depth(4)) u_wdesc (
    .clk_i, .rst_ni, .push_i(wdesc_push), .ready_o(wdesc_ready), .data_i({desc_op_i == OpFlush, desc}),
    .valid_o(wdesc_valid), .pop_i(wdesc_pop), .data_o({wdesc_flush, wdesc})
  );
  sync_fifo #(.Width($bits(desc_t)), .Depth(4)) u_rdesc (
    .clk_i, .rst_ni, .push_i(rdesc_push), .ready_o(rdesc_ready), .data_i(desc),
    .valid_o(rdesc_valid), .pop_i(rdesc_pop), .data_o(rdesc)
  );
  sync_fifo #(.Width($bits(report_t)), .Depth(4)) u_refused (
    .clk_i, .rst_ni, .push_i(refused_push), .ready_o(refused_ready), .data_i(refusal),
    .valid_o(refused_valid), .pop_i(refused_pop), .data_o(refused_report)
  );

  // ---- 2. Split writes into requests: one a cycle, for the emitter and for the fetcher of their bytes.
  piece_t      wpiece_d, wpiece;
  fetch_t      wfetch_d, wfetch;
  logic        split, split_last, wpiece_ready, wpiece_valid, wpiece_pop;
  logic        wfetch_ready, wfetch_valid, wfetch_pop;
  logic [20:0] split_q;  // bytes of the descriptor in front that are split
  logic [12:0] split_n;
  always_comb begin
    split_n = wdesc_flush ? '0 : first_piece(12'(wdesc.address + 64'(split_q)), wdesc.length - split_q, mps_i);
    split_last = wdesc_flush || split_q + 21'(split_n) == wdesc.length;
    split = wdesc_valid && wpiece_ready && wfetch_ready;
    wdesc_pop = split && split_last;
    wfetch_d = '{local_address: wdesc.local_address + 32'(split_q), length: split_n};
    wpiece_d = '{
        flush: wdesc_flush,
        last: split_last,
        address: wdesc.address + 64'(split_q),
        lane: wfetch_d.local_address[LaneBits-1:0],
        length: split_n,
        total: wdesc.length,
        id: wdesc.id
    };
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) split_q <= '0;
    else if (split) split_q <= split_last ? '0 : split_q + 21'(split_n);
  end
  sync_fifo #(.Width($bits(piece_t)), .Depth(4)) u_wpiece (
    .clk_i, .rst_ni, .push_i(split), .ready_o(wpiece_ready), .data_i(wpiece_d),
    .valid_o(wpiece_valid), .pop_i(wpiece_pop), .data_o(wpiece)
  );
  sync_fifo #(.Width($bits(fetch_t)), .Depth(4)) u_wfetch (
    .clk_i, .rst_ni, .push_i(split && !wdesc_flush), .ready_o(wfetch_ready), .data_i(wfetch_d),
    .valid_o(wfetch_valid), .pop_i(wfetch_pop), .data_o(wfetch)
  );

  // ---- 3. Fetch the bytes of writes from packet memory, ahead of the emitter by RamDepth beats.
  logic [13:0] fetch_end;  // of the request, from the start of its first beat
  logic [12:0] fetch_beat_q;
  logic [4:0]  ram_pending_q;  // beats asked for and not yet used
  logic        ram_rd_fire, ram_valid, ram_pop, ram_ready;
  beat_t       ram_beat;
  always_comb begin
    fetch_end = 14'(wfetch.local_address[LaneBits-1:0]) + 14'(wfetch.length);
    ram_rd_valid_o = wfetch_valid && ram_pending_q != 5'(RamDepth);
    ram_rd_address_o = {wfetch.local_address[31:LaneBits] + (32 - LaneBits)'(fetch_beat_q), LaneBits'(0)};
    ram_rd_fire = ram_rd_valid_o && ram_rd_ready_i;
    wfetch_pop = ram_rd_fire && (32'(fetch_beat_q) + 1) * DataBytes >= 32'(fetch_end);
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fetch_beat_q <= '0;
      ram_pending_q <= '0;
    end else begin
      if (ram_rd_fire) fetch_beat_q <= wfetch_pop ? '0 : fetch_beat_q + 1'b1;
      ram_pending_q <= ram_pending_q + 5'(ram_rd_fire) - 5'(ram_pop);
    end
  end
  sync_fifo #(.Width(8 * DataBytes), .Depth(RamDepth)) u_ram (
    .clk_i, .rst_ni, .push_i(ram_rd_data_valid_i), .ready_o(ram_ready), .data_i(ram_rd_data_i),
    .valid_o(ram_valid), .pop_i(ram_pop), .data_o(ram_beat)
  );

  // ---- 4. Tags, below tags_i and in the order in which they became free; those never used come first. Another tags_i, while all
  // are free, begins again with 0.
  tag_t        free_tag, next_tag, freed_tag;
  logic        tag_give, tag_freed, freed_valid, freed_pop, tag_there, fresh, renew;
  logic [8:0]  fresh_q;
  logic [8:0]  tags_q;
  logic        freed_ready;
  assign renew = tags_q != tags_i;
  sync_fifo #(.Width(TagBits), .Depth(Tags)) u_freed (
    .clk_i, .rst_ni(rst_ni && !renew), .push_i(tag_freed), .ready_o(freed_ready), .data_i(freed_tag),
    .valid_o(freed_valid), .pop_i(freed_pop), .data_o(next_tag)
  );
  assign fresh = fresh_q != tags_q;
  assign free_tag = fresh ? fresh_q[TagBits-1:0] : next_tag;
  assign tag_there = !renew && (fresh || freed_valid);
  assign freed_pop = tag_give && !fresh;
  always_ff @(posedge clk_i) begin
    tags_q <= rst_ni ? tags_i : '0;
    if (!rst_ni || renew) fresh_q <= '0;
    else if (tag_give && fresh) fresh_q <= fresh_q + 1'b1;
  end

  // ---- 5. Split reads into requests, and the table of their descriptors.
  slot_t                    slot_next_q;
  logic [Slots-1:0]         slot_busy_q, slot_issued_q, slot_failed_q;
  logic [12:0]              slot_open_q[Slots];  // requests outstanding
  logic [20:0]              slot_bytes_q[Slots];
  logic [15:0]              slot_id_q[Slots];
  logic [20:0]              read_q;  // bytes of the descriptor in front that are asked for
  logic [12:0]              read_n;
  logic                     read_ready, read_last, give_read;
  always_comb begin
    read_n = first_piece(12'(rdesc.address + 64'(read_q)), rdesc.length - read_q, mrrs_i);
    read_last = read_q + 21'(read_n) == rdesc.length;
    read_ready = rdesc_valid && tag_there && (read_q != '0 || !slot_busy_q[slot_next_q]);
    rdesc_pop = give_read && read_last;
  end

  // ---- 6. Emit: reads and writes in turn, one register before the link.
  logic              tx_valid_q, tx_reports_q, tx_load, tx_free, tx_leave, write_ready, give_write, give_flush, write_end, inside_q, reads_turn_q;
  logic              primed_q, prime, from_two, wdone_ready, wdone_valid, wdone_pop;
  logic [12:0]       sent_q, left;  // bytes of the request in front that are sent, and left
  logic [LaneBits:0] now_bytes;
  beat_t             hold_q, tx_beat;
  report_t           wdone;
  logic [20:0]       tx_total_q;
  logic              unaligned;
  always_comb begin
    tx_leave = tx_valid_o && tx_ready_i;
    tx_free = !tx_valid_q || tx_leave;
    unaligned = wpiece.lane != '0;
    left = wpiece.length - sent_q;
    now_bytes = left >= 13'(DataBytes) ? (LaneBits + 1)'(DataBytes) : left[LaneBits:0];
    // The beat reaches into the one behind that which is held.
    from_two = unaligned && 14'(left) + 14'(wpiece.lane) > 14'(DataBytes);
    prime = wpiece_valid && !wpiece.flush && unaligned && !primed_q && ram_valid;
    write_ready = wpiece_valid &&
                  (wpiece.flush ? tag_there : unaligned ? primed_q && (!from_two || ram_valid) : ram_valid);
    give_read = tx_free && !inside_q && read_ready && (reads_turn_q || !write_ready);
    give_write = tx_free && write_ready && !give_read;
    give_flush = give_write && wpiece.flush;
    tag_give = give_read || give_flush;
    write_end = give_write && (wpiece.flush || left <= 13'(DataBytes));
    wpiece_pop = write_end;
    ram_pop = prime || (give_write && !wpiece.flush && (!unaligned || from_two));
    tx_beat = unaligned ? beat_t'({ram_beat, hold_q} >> {wpiece.lane, 3'b0}) : ram_beat;
    tx_load = give_read || give_write;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      tx_valid_q <= 1'b0;
      inside_q <= 1'b0;
      reads_turn_q <= 1'b0;
      primed_q <= 1'b0;
      sent_q <= '0;
      read_q <= '0;
    end else begin
      if (tx_free) tx_valid_q <= tx_load;
      if (give_write) begin
        inside_q <= !write_end;
        sent_q <= write_end ? '0 : sent_q + 13'(now_bytes);
      end
      if (give_read) reads_turn_q <= 1'b0;
      else if (write_end) reads_turn_q <= 1'b1;
      if (prime) primed_q <= 1'b1;
      else if (write_end) primed_q <= 1'b0;
      if (give_read) read_q <= read_last ? '0 : read_q + 21'(read_n);
    end
    if (prime || (give_write && from_two)) hold_q <= ram_beat;
    if (tx_load) begin
      tx_op_o <= give_read ? OpRead : wpiece.flush ? OpFlush : OpWrite;
      tx_address_o <= give_read ? rdesc.address + 64'(read_q) : wpiece.address;
      tx_length_o <= give_read ? read_n : wpiece.length;
      tx_tag_o <= 8'(free_tag);
      tx_id_o <= give_read ? rdesc.id : wpiece.id;
      tx_first_o <= give_read || !inside_q;
      tx_last_o <= give_read || write_end;
      tx_data_o <= tx_beat;
      tx_reports_q <= write_end && !wpiece.flush && wpiece.last;
      tx_total_q <= wpiece.total;
      tx_keep_o <= give_write && !wpiece.flush ? lanes(now_bytes) : '0;
    end
  end
  sync_fifo #(.Width($bits(report_t)), .Depth(8)) u_wdone (
    .clk_i, .rst_ni, .push_i(tx_leave && tx_reports_q), .ready_o(wdone_ready),
    .data_i({tx_id_o, StatusOk, tx_total_q}), .valid_o(wdone_valid), .pop_i(wdone_pop), .data_o(wdone)
  );

  assign tx_valid_o = tx_valid_q && wdone_ready;

  // ---- 7. Completions: find the request, move the bytes to their lanes.
  logic [Tags-1:0]       tag_busy_q, tag_flush_q;
  logic [31:0]           tag_local_q[Tags];
  logic [12:0]           tag_left_q[Tags];
  slot_t                 tag_slot_q[Tags];
  logic [15:0]           tag_id_q[Tags];

  typedef struct packed {
    logic        drop;  // nobody asked
    logic        ok;
    logic        last;  // the request ends with this completion
    logic        flush;
    tag_t        tag;
    slot_t       slot;
    logic [15:0] id;
    logic [12:0] length;
    logic [31:0] beat_address;  // of the beat to be written next
    lane_t       lane;
    logic [12:0] left;  // bytes of it not yet seen
  } cpl_t;

  cpl_t              head, cpl, cpl_q;
  logic              cpl_fire, spill, spill_q, cpl_done, out_free, out_leave;
  logic              known;
  tag_t              cpl_tag;
  logic [LaneBits:0] cpl_bytes;
  logic [LaneBits+1:0] cpl_end;  // lane behind the beat's last byte
  beat_t             spilled_q;
  logic [16*DataBytes-1:0] turned;
  logic [LaneBits:0]       spilled_bytes_q;

  typedef struct packed {
    logic        has_data;
    logic        ends;  // a completion
    cpl_t        cpl;
    beat_t       data;
    logic [DataBytes-1:0] strobe;
  } out_t;
  logic out_valid_q;
  out_t out_d, out_q;

  always_comb begin
    cpl_tag = cpl_tag_i[TagBits-1:0];
    known = 32'(cpl_tag_i) < Tags && tag_busy_q[cpl_tag];
    head = '{
        drop: !known,
        ok: 1'b0,
        last: 1'b1,
        flush: tag_flush_q[cpl_tag],
        tag: cpl_tag,
        slot: tag_slot_q[cpl_tag],
        id: tag_id_q[cpl_tag],
        length: '0,
        beat_address: {tag_local_q[cpl_tag][31:LaneBits], LaneBits'(0)},
        lane: tag_local_q[cpl_tag][LaneBits-1:0],
        left: '0
    };
    if (known && cpl_ok_i && cpl_length_i <= tag_left_q[cpl_tag] && (cpl_length_i != '0 || tag_flush_q[cpl_tag])) begin
      head.ok = 1'b1;
      head.length = cpl_length_i;
      head.left = cpl_length_i;
      head.last = cpl_length_i == tag_left_q[cpl_tag];
    end
    cpl = cpl_first_i ? head : cpl_q;
    cpl_bytes = cpl.left >= 13'(DataBytes) ? (LaneBits + 1)'(DataBytes) : cpl.left[LaneBits:0];
    cpl_end = (LaneBits + 2)'(cpl.lane) + (LaneBits + 2)'(cpl_bytes);
    turned = {beat_t'(0), cpl_data_i} << {cpl.lane, 3'b0};

    out_leave = out_valid_q && (!out_q.has_data || ram_wr_ready_i) && rdone_ready;
    out_free = !out_valid_q || out_leave;
    cpl_ready_o = out_free && !spill_q;
    cpl_fire = cpl_valid_i && cpl_ready_o;
    spill = cpl_fire && cpl_last_i && cpl_end > (LaneBits + 2)'(DataBytes);
    cpl_done = spill_q || (cpl_fire && cpl_last_i && !spill);

    out_d.has_data = spill_q || cpl.left != '0;
    out_d.ends = cpl_done;
    out_d.cpl = spill_q ? cpl_q : cpl;
    out_d.data = spill_q ? spilled_q : turned[8*DataBytes-1:0];
    out_d.strobe = spill_q ? lanes(spilled_bytes_q) : lanes(cpl_bytes) << cpl.lane;
    if (!spill_q && !cpl_first_i) begin
      for (int unsigned i = 0; i < DataBytes; i++) begin
        if (lane_t'(i) < cpl.lane) begin
          out_d.data[8*i+:8] = spilled_q[8*i+:8];
          out_d.strobe[i] = 1'b1;
        end
      end
    end
  end

  logic rdone_ready, rdone_push, rdone_valid, rdone_pop, slot_end, ends;
  report_t rdone_d, rdone;
  always_comb begin
    ends = out_leave && out_q.ends && !out_q.cpl.drop;
    tag_freed = ends && out_q.cpl.last;
    freed_tag = out_q.cpl.tag;
    slot_end = tag_freed && !out_q.cpl.flush && slot_issued_q[out_q.cpl.slot] &&
               slot_open_q[out_q.cpl.slot] == 13'd1;
    rdone_push = slot_end || (tag_freed && out_q.cpl.flush);
    rdone_d.id = out_q.cpl.flush ? out_q.cpl.id : slot_id_q[out_q.cpl.slot];
    rdone_d.status = out_q.cpl.ok && (out_q.cpl.flush || !slot_failed_q[out_q.cpl.slot]) ? StatusOk : StatusFailed;
    rdone_d.bytes = out_q.cpl.flush ? '0 : slot_bytes_q[out_q.cpl.slot] + 21'(out_q.cpl.length);
  end
  sync_fifo #(.Width($bits(report_t)), .Depth(8)) u_rdone (
    .clk_i, .rst_ni, .push_i(rdone_push), .ready_o(rdone_ready), .data_i(rdone_d),
    .valid_o(rdone_valid), .pop_i(rdone_pop), .data_o(rdone)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q <= 1'b0;
      spill_q <= 1'b0;
      tag_busy_q <= '0;
      slot_busy_q <= '0;
      slot_next_q <= '0;
      unexpected_o <= '0;
    end else begin
      if (out_free) out_valid_q <= cpl_fire || spill_q;
      if (out_free) spill_q <= spill;
      if (cpl_fire && cpl_last_i && cpl.drop) unexpected_o <= unexpected_o + 1'b1;
      if (tag_freed) tag_busy_q[out_q.cpl.tag] <= 1'b0;
      if (tag_give) tag_busy_q[free_tag] <= 1'b1;
      if (slot_end) slot_busy_q[out_q.cpl.slot] <= 1'b0;
      if (give_read && read_q == '0) slot_busy_q[slot_next_q] <= 1'b1;
      if (rdesc_pop) slot_next_q <= slot_next_q + 1'b1;
    end
    if (out_free && (cpl_fire || spill_q)) out_q <= out_d;
    if (cpl_fire) begin
      cpl_q <= cpl;
      cpl_q.beat_address <= cpl.beat_address + DataBytes;
      cpl_q.left <= cpl.left - 13'(cpl_bytes);
      spilled_q <= turned[16*DataBytes-1:8*DataBytes];
      spilled_bytes_q <= (LaneBits + 1)'(cpl_end - (LaneBits + 2)'(DataBytes));
    end
    if (tag_give) begin
      tag_flush_q[free_tag] <= give_flush;
      tag_local_q[free_tag] <= rdesc.local_address + 32'(read_q);
      tag_left_q[free_tag] <= give_flush ? '0 : read_n;
      tag_slot_q[free_tag] <= slot_next_q;
      tag_id_q[free_tag] <= wpiece.id;
    end
    if (cpl_fire && cpl_first_i && head.ok) begin
      tag_local_q[cpl_tag] <= tag_local_q[cpl_tag] + 32'(cpl_length_i);
      tag_left_q[cpl_tag] <= tag_left_q[cpl_tag] - cpl_length_i;
    end
    if (give_read && read_q == '0) begin
      slot_id_q[slot_next_q] <= rdesc.id;
      slot_bytes_q[slot_next_q] <= '0;
      slot_failed_q[slot_next_q] <= 1'b0;
      slot_issued_q[slot_next_q] <= read_last;
      slot_open_q[slot_next_q] <= 13'd1;
    end else if (give_read) begin
      slot_issued_q[slot_next_q] <= read_last;
      slot_open_q[slot_next_q] <= slot_open_q[slot_next_q] + 13'd1;
    end
    if (ends && !out_q.cpl.flush) begin
      slot_bytes_q[out_q.cpl.slot] <= slot_bytes_q[out_q.cpl.slot] + 21'(out_q.cpl.length);
      if (!out_q.cpl.ok) slot_failed_q[out_q.cpl.slot] <= 1'b1;
      if (out_q.cpl.last && !(give_read && slot_next_q == out_q.cpl.slot))
        slot_open_q[out_q.cpl.slot] <= slot_open_q[out_q.cpl.slot] - 13'd1;
      else if (out_q.cpl.last) slot_open_q[out_q.cpl.slot] <= slot_open_q[out_q.cpl.slot];
    end
  end

  assign ram_wr_valid_o = out_valid_q && out_q.has_data && rdone_ready;
  assign ram_wr_address_o = out_q.cpl.beat_address;
  assign ram_wr_data_o = out_q.data;
  assign ram_wr_strobe_o = out_q.strobe;

  // ---- 8. Reports: reads first, then writes, then refusals.
  report_t report_d;
  logic    done_free;
  always_comb begin
    done_free = !done_valid_o || done_ready_i;
    rdone_pop = done_free && rdone_valid;
    wdone_pop = done_free && wdone_valid && !rdone_valid;
    refused_pop = done_free && refused_valid && !rdone_valid && !wdone_valid;
    report_d = rdone_valid ? rdone : wdone_valid ? wdone : refused_report;
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) done_valid_o <= 1'b0;
    else if (done_free) done_valid_o <= rdone_valid || wdone_valid || refused_valid;
    if (done_free) {done_id_o, done_status_o, done_bytes_o} <= report_d;
  end

  // ---- Contract
  tx_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    tx_valid_o && !tx_ready_i |=> tx_valid_o && $stable({tx_first_o, tx_last_o, tx_op_o, tx_address_o, tx_length_o}) &&
    $stable({tx_tag_o, tx_id_o, tx_keep_o}) && $stable(tx_data_o))
  else $error("a request changed before it was taken");

  ram_wr_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    ram_wr_valid_o && !ram_wr_ready_i |=> ram_wr_valid_o && $stable({ram_wr_address_o, ram_wr_strobe_o}) &&
    $stable(ram_wr_data_o))
  else $error("a write to packet memory changed before it was taken");

  done_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    done_valid_o && !done_ready_i |=> done_valid_o && $stable({done_id_o, done_status_o, done_bytes_o}))
  else $error("a report changed before it was taken");

  request_obeys_the_bus :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    tx_valid_o && tx_op_o != OpFlush |-> tx_length_o != '0 &&
    13'(tx_address_o[1:0]) + tx_length_o <= (tx_op_o == OpRead ? mrrs_i : mps_i) &&
    {1'b0, tx_address_o[11:0]} + tx_length_o <= 13'd4096)
  else $error("a request is longer than allowed or crosses 4 KiB");

  tag_is_free_when_given :
  assert property (@(posedge clk_i) disable iff (!rst_ni) tag_give |-> !tag_busy_q[free_tag])
  else $error("a tag was given twice");

  ram_beat_has_room :
  assert property (@(posedge clk_i) disable iff (!rst_ni) ram_rd_data_valid_i |-> ram_ready)
  else $error("packet memory returned a beat that nobody asked for");

  freed_tag_has_room :
  assert property (@(posedge clk_i) disable iff (!rst_ni) tag_freed |-> freed_ready)
  else $error("more tags came back than there are");

  limits_are_legal :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    desc_valid_i |-> mps_i >= 13'd128 && (mps_i & (mps_i - 1'b1)) == '0 && mrrs_i >= 13'd128 &&
    (mrrs_i & (mrrs_i - 1'b1)) == '0 && tags_i != '0 && 32'(tags_i) <= Tags)
  else $error("mps_i, mrrs_i or tags_i is out of range");

  descriptor_stable_until_accepted :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    desc_valid_i && !desc_ready_o |=> desc_valid_i && $stable({desc_op_i, desc_no_fragment_i, desc_address_i}) &&
    $stable({desc_local_i, desc_length_i, desc_id_i}))
  else $error("a descriptor changed before it was accepted");

  completion_beats_fit_its_length :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    cpl_fire && !cpl.drop && cpl.ok |-> cpl_last_i == (cpl.left <= 13'(DataBytes)))
  else $error("a completion has more or fewer beats than its length says");
endmodule

`default_nettype wire
