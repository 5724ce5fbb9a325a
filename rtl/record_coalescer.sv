/// Decides when received payload that the adapter holds back is given to the host in bulk: by bytes, pieces and age; and which pieces
/// go together, because their ranges are consecutive.
/// The twin is model/core/record_coalescer.{h,cpp}: for every command both give the same answer after the same number of cycles.
///
/// A slot holds what one connection holds back. Slots in use are a list linked both ways, in the order of their first pieces; all ages
/// are equal, so that it is the order of deadlines.
///
/// Commands, one at a time:
///   OpConfigure  hold_bytes, hold_count (0: no limit), hold_age (cycles; 0: every piece flushes), max_range: in force from here on, for
///                what is held, too
///   OpAdd        slot, at, length, now: a piece. merges_o: it begins where the slot's newest range ends, and extends it, which stays
///                within max_range. flush_o: with it, a limit is reached. The first piece of an empty slot starts its age
///   OpFlushed    slot: it is empty again; bytes_o, pieces_o, ranges_o are what it held
///   OpExpire     now: slot_o is the oldest slot, if its deadline has come
///   OpOldest     slot_o and deadline_o: the oldest slot, and the cycle of its first piece and hold_age, at most 2^64 - 2
///   OpReset      nothing is held; limits as after rst_ni: none, an age of 0, max_range 9216
/// What a command does not give is 0.
///
/// Latency: 3 cycles for every command, those of command and answer both counted. Throughput: the next command is taken in the cycle
/// after an answer was.
/// Back-pressure: cmd_ready_o is low from a command to its answer's end. rsp_valid_o never waits for rsp_ready_i; an answer is stable
/// until taken. Source: a command is stable until accepted.
/// Bad input: a slot that is none, a length of 0 or above 2^20, a piece that does not end below 2^64: ok_o is low, nothing is kept, and
/// flush_o is high. ok_o is low, too, where OpFlushed finds the slot empty, OpExpire nothing due, OpOldest nothing held. An opcode that
/// is none answers so. Counters stop at their largest value, where flush_o is high. A `now` that falls is not noticed: the order
/// of first pieces rules.
`default_nettype none

module record_coalescer #(
  parameter int unsigned Slots = 256  // 2 to 4096
) (
  input  wire logic        clk_i,
  input  wire logic        rst_ni,  // synchronous, active low
  // commands
  input  wire logic        cmd_valid_i,
  output logic             cmd_ready_o,
  input  wire logic [2:0]  cmd_op_i,
  input  wire logic [15:0] cmd_slot_i,
  input  wire logic [63:0] cmd_at_i,
  input  wire logic [20:0] cmd_length_i,
  input  wire logic [63:0] cmd_now_i,
  // with OpConfigure
  input  wire logic [31:0] hold_bytes_i,
  input  wire logic [15:0] hold_count_i,
  input  wire logic [31:0] hold_age_i,
  input  wire logic [31:0] max_range_i,
  // answers
  output logic             rsp_valid_o,
  input  wire logic        rsp_ready_i,
  output logic             ok_o,
  output logic             merges_o,
  output logic             flush_o,
  output logic [15:0]      slot_o,
  output logic [63:0]      deadline_o,
  output logic [31:0]      bytes_o,
  output logic [15:0]      pieces_o,
  output logic [15:0]      ranges_o
);
  if (Slots < 2 || Slots > 4096) begin : gen_bad_slots
    $fatal(1, "record_coalescer: Slots must be 2 to 4096");
  end

  localparam int unsigned SlotBits = $clog2(Slots);
  localparam logic [20:0] MaxLength = 21'h100000;
  localparam logic [31:0] DefaultMaxRange = 32'd9216;
  localparam logic [63:0] LastDeadline = 64'hffff_ffff_ffff_fffe;

  typedef enum logic [2:0] {OpConfigure, OpAdd, OpFlushed, OpExpire, OpOldest, OpReset} op_e;
  typedef logic [SlotBits-1:0] slot_t;
  typedef struct packed {
    logic [63:0] first;        // cycle of the first piece
    logic [63:0] range_end;    // of the newest range
    logic [31:0] range_bytes;  // of the newest range
    logic [31:0] bytes;
    logic [15:0] pieces;
    logic [15:0] ranges;
  } content_t;

  // ---- Control: take a command and read, act, answer.
  typedef enum logic [1:0] {Idle, Act, Respond} state_e;
  state_e      state_q;
  op_e         op_q;
  logic [15:0] slot_number_q;
  logic [63:0] at_q, now_q;
  logic [20:0] length_q;
  logic [31:0] new_bytes_q, new_age_q, new_range_q;
  logic [15:0] new_count_q;
  logic        accept;
  assign cmd_ready_o = state_q == Idle;
  assign accept = cmd_valid_i && cmd_ready_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Idle;
    end else begin
      unique case (state_q)
        Idle: if (accept) state_q <= Act;
        Act: state_q <= Respond;
        default: if (rsp_ready_i) state_q <= Idle;
      endcase
    end
    if (accept) begin
      op_q <= op_e'(cmd_op_i);
      slot_number_q <= cmd_slot_i;
      at_q <= cmd_at_i;
      length_q <= cmd_length_i;
      now_q <= cmd_now_i;
      new_bytes_q <= hold_bytes_i;
      new_count_q <= hold_count_i;
      new_age_q <= hold_age_i;
      new_range_q <= max_range_i;
    end
  end

  // ---- Slots: contents and links in memories of one read and one write port each.
  logic [Slots-1:0] held_q;
  slot_t            head_q, tail_q;  // while something is held
  logic [15:0]      held_count_q;
  content_t         content_mem [Slots];
  slot_t            before_mem [Slots];
  slot_t            after_mem [Slots];
  content_t         content_q, content_d;
  slot_t            before_q, after_q;
  slot_t            read_slot, slot;
  logic             write_content, write_before, write_after;
  slot_t            before_at, after_at, before_d, after_d;

  assign read_slot = cmd_op_i == OpExpire || cmd_op_i == OpOldest ? head_q : slot_t'(cmd_slot_i);
  assign slot = slot_t'(slot_number_q);
  always_ff @(posedge clk_i) begin
    if (accept) begin
      content_q <= content_mem[read_slot];
      before_q <= before_mem[read_slot];
      after_q <= after_mem[read_slot];
    end
    if (write_content) content_mem[slot] <= content_d;
    if (write_before) before_mem[before_at] <= before_d;
    if (write_after) after_mem[after_at] <= after_d;
  end

  // ---- Act
  logic [31:0] hold_bytes_q, hold_age_q, max_range_q;
  logic [15:0] hold_count_q;
  logic        slot_exists, slot_held, something_held;
  logic        add_ok, begins, flushes;
  logic        merges, limit;
  logic [64:0] piece_end, deadline_sum;
  logic [63:0] deadline;
  logic [32:0] merged_bytes, bytes_sum;
  assign slot_exists = 32'(slot_number_q) < Slots;
  assign slot_held = slot_exists && held_q[slot];
  assign something_held = held_count_q != '0;

  always_comb begin
    piece_end = 65'(at_q) + 65'(length_q);
    add_ok = op_q == OpAdd && slot_exists && length_q != '0 && length_q <= MaxLength && !piece_end[64];
    begins = add_ok && !slot_held;
    flushes = op_q == OpFlushed && slot_held;

    merged_bytes = 33'(content_q.range_bytes) + 33'(length_q);
    merges = add_ok && slot_held && at_q == content_q.range_end && merged_bytes <= 33'(max_range_q);
    bytes_sum = (slot_held ? 33'(content_q.bytes) : '0) + 33'(length_q);
    content_d = content_q;
    if (!slot_held) begin
      content_d = '0;
      content_d.first = now_q;
    end
    content_d.range_end = piece_end[63:0];
    content_d.range_bytes = merges ? merged_bytes[31:0] : 32'(length_q);
    content_d.bytes = bytes_sum[32] ? '1 : bytes_sum[31:0];
    if (content_d.pieces != '1) content_d.pieces += 1'b1;
    if (!merges && content_d.ranges != '1) content_d.ranges += 1'b1;
    limit = hold_age_q == '0 || content_d.bytes == '1 || (hold_bytes_q != '0 && content_d.bytes >= hold_bytes_q) ||
            content_d.pieces == '1 || (hold_count_q != '0 && content_d.pieces >= hold_count_q);

    deadline_sum = 65'(content_q.first) + 65'(hold_age_q);
    deadline = deadline_sum > 65'(LastDeadline) ? LastDeadline : deadline_sum[63:0];
  end

  // A new slot follows the youngest; a flushed one leaves its neighbours to each other.
  assign write_content = state_q == Act && add_ok;
  assign write_before = state_q == Act && (begins || (flushes && slot != tail_q));
  assign write_after = state_q == Act && ((begins && something_held) || (flushes && slot != head_q));
  assign before_at = begins ? slot : after_q;
  assign before_d = begins ? tail_q : before_q;
  assign after_at = begins ? tail_q : before_q;
  assign after_d = begins ? slot : after_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || (state_q == Act && op_q == OpReset)) begin
      held_q <= '0;
      held_count_q <= '0;
      hold_bytes_q <= '0;
      hold_count_q <= '0;
      hold_age_q <= '0;
      max_range_q <= DefaultMaxRange;
    end else if (state_q == Act) begin
      if (op_q == OpConfigure) begin
        hold_bytes_q <= new_bytes_q;
        hold_count_q <= new_count_q;
        hold_age_q <= new_age_q;
        max_range_q <= new_range_q;
      end
      if (begins) begin
        held_q[slot] <= 1'b1;
        held_count_q <= held_count_q + 1'b1;
        tail_q <= slot;
        if (!something_held) head_q <= slot;
      end
      if (flushes) begin
        held_q[slot] <= 1'b0;
        held_count_q <= held_count_q - 1'b1;
        if (slot == head_q) head_q <= after_q;
        if (slot == tail_q) tail_q <= before_q;
      end
    end
  end

  // ---- Answer
  logic        ok_q, merges_q, flush_q;
  logic [15:0] answer_slot_q, pieces_q, ranges_q;
  logic [63:0] deadline_q;
  logic [31:0] bytes_q;
  always_ff @(posedge clk_i) begin
    if (state_q == Act) begin
      ok_q <= 1'b0;
      merges_q <= 1'b0;
      flush_q <= 1'b0;
      answer_slot_q <= '0;
      deadline_q <= '0;
      bytes_q <= '0;
      pieces_q <= '0;
      ranges_q <= '0;
      unique case (op_q)
        OpConfigure, OpReset: ok_q <= 1'b1;
        OpAdd: begin
          ok_q <= add_ok;
          merges_q <= merges;
          flush_q <= !add_ok || limit;
        end
        OpFlushed: begin
          if (flushes) begin
            ok_q <= 1'b1;
            bytes_q <= content_q.bytes;
            pieces_q <= content_q.pieces;
            ranges_q <= content_q.ranges;
          end
        end
        OpExpire, OpOldest: begin
          if (something_held && (op_q == OpOldest || deadline <= now_q)) begin
            ok_q <= 1'b1;
            answer_slot_q <= 16'(head_q);
            deadline_q <= deadline;
          end
        end
        default: ;
      endcase
    end
  end

  assign rsp_valid_o = state_q == Respond;
  assign ok_o = ok_q;
  assign merges_o = merges_q;
  assign flush_o = flush_q;
  assign slot_o = answer_slot_q;
  assign deadline_o = deadline_q;
  assign bytes_o = bytes_q;
  assign pieces_o = pieces_q;
  assign ranges_o = ranges_q;

  // ---- Contract
  every_held_slot_is_counted :
  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == Respond |-> 32'($countones(held_q)) == 32'(held_count_q))
  else $error("slots held and their number differ");

  the_ends_of_the_list_are_held :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    state_q == Respond && something_held |-> held_q[head_q] && held_q[tail_q])
  else $error("the list ends in a slot that is not held");

  one_is_oldest_and_youngest :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    state_q == Respond && something_held |-> (held_count_q == 16'd1) == (head_q == tail_q))
  else $error("the list has another length than the slots held");

  neighbours_are_held :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    state_q == Act && flushes |-> (slot == head_q || held_q[before_q]) && (slot == tail_q || held_q[after_q]))
  else $error("a link leads to a slot that is not held");

  answer_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    rsp_valid_o && !rsp_ready_i |=> rsp_valid_o && $stable({ok_o, merges_o, flush_o, slot_o, deadline_o}) &&
    $stable({bytes_o, pieces_o, ranges_o}))
  else $error("an answer changed before it was taken");

  source_stable_until_accepted :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    cmd_valid_i && !cmd_ready_o |=> cmd_valid_i && $stable({cmd_op_i, cmd_slot_i, cmd_at_i, cmd_length_i, cmd_now_i}) &&
    $stable({hold_bytes_i, hold_count_i, hold_age_i, max_range_i}))
  else $error("a command changed before it was accepted");
endmodule

`default_nettype wire
