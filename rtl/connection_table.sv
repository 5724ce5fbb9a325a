/// The on-chip part of the connection table: finds a connection's index by the keyed hash of its 4-tuple, in a set-associative store
/// whose words are code words of secded_encoder. The twin is model/core/connection_store.{h,cpp}: same operations, same answers, same cycles.
///
/// Request in: op_i 0 lookup, 1 insert, 2 remove, 3 scrub, 4 flip (the bits of mask_i of word way_i change: a fault for tests). The low
/// bits of key_i name the set, its upper 43 are the tag.
/// Answer out, one a request: hit_o and index_o, evicted_o and victim_o (insert), corrected_o and dropped_o, how many words of the set had
/// one wrong bit (written back right) and how many had more (cleared).
///
/// Latency: 4 cycles from request to the end of the answer's cycle; after reset, Sets cycles that clear the store.
/// Throughput: one operation in 4 cycles. Back-pressure: ready_o is low meanwhile; an answer waits for answer_ready_i.
/// Bad input: another op_i fails an assertion.
`default_nettype none

module connection_table #(
  parameter int unsigned Sets = 1024,  // a power of two, 2 to 2^20
  parameter int unsigned Ways = 4,     // 2 to 8
  localparam int unsigned WayBits = $clog2(Ways)
) (
  input  wire logic               clk_i,
  input  wire logic               rst_ni,  // synchronous, active low
  input  wire logic               valid_i,
  output logic                    ready_o,
  input  wire logic [2:0]         op_i,
  input  wire logic [63:0]        key_i,
  input  wire logic [19:0]        index_i,
  input  wire logic [WayBits-1:0] way_i,
  input  wire logic [71:0]        mask_i,
  output logic                    answer_valid_o,
  input  wire logic               answer_ready_i,
  output logic                    hit_o,
  output logic [19:0]             index_o,
  output logic                    evicted_o,
  output logic [19:0]             victim_o,
  output logic [3:0]              corrected_o,
  output logic [3:0]              dropped_o
);
  if (Sets < 2 || Sets > (1 << 20) || (Sets & (Sets - 1)) != 0) begin : gen_bad_sets
    $fatal(1, "connection_table: Sets must be a power of two up to 2^20");
  end
  if (Ways < 2 || Ways > 8) begin : gen_bad_ways
    $fatal(1, "connection_table: Ways must be 2 to 8");
  end

  localparam int unsigned SetBits = $clog2(Sets);
  localparam logic [2:0] OpLookup = 3'd0, OpInsert = 3'd1, OpRemove = 3'd2, OpScrub = 3'd3, OpFlip = 3'd4;

  typedef enum logic [2:0] {
    Clear,
    Idle,
    Read,
    Work,
    Answer
  } state_e;

  state_e                  state_q;
  logic [SetBits-1:0]      set_q;
  logic [2:0]              op_q;
  logic [42:0]             tag_q;
  logic [19:0]             index_q;
  logic [WayBits-1:0]      way_q;
  logic [71:0]             mask_q;
  logic [Ways-1:0][71:0]   word_q[Sets];  // check bits 71 to 64, valid 63, tag 62 to 20, index 19 to 0
  logic [Ways-1:0]         used_q[Sets];
  logic [Ways-1:0][71:0]   read_q;
  logic [Ways-1:0]         read_used_q;

  logic [Ways-1:0][71:0]   word_d, code_d;
  logic [Ways-1:0][63:0]   read, data_d;
  logic [Ways-1:0]         used_d;
  logic [Ways-1:0]         mended, lost;
  logic                    hit, evicted, some_empty, some_idle;
  logic [WayBits-1:0]      found, empty, idle, to;
  logic [19:0]             index, victim;
  logic [3:0]              corrected, dropped;

  logic unused_key;
  assign unused_key = ^key_i[20:SetBits];

  for (genvar w = 0; w < Ways; w++) begin : gen_code
    secded_decoder #(.DataBits(64)) u_decoder (
      .code_i(read_q[w]), .data_o(read[w]), .corrected_o(mended[w]), .uncorrectable_o(lost[w])
    );
    secded_encoder #(.DataBits(64)) u_encoder (.data_i(data_d[w]), .code_o(code_d[w]));
  end

  always_comb begin
    word_d = code_d;
    if (op_q == OpFlip) begin
      word_d = read_q;
      word_d[way_q] = read_q[way_q] ^ mask_q;
    end
  end

  always_comb begin
    data_d = read;
    used_d = read_used_q;
    hit = 1'b0;
    evicted = 1'b0;
    some_empty = 1'b0;
    some_idle = 1'b0;
    found = '0;
    empty = '0;
    idle = '0;
    to = '0;
    index = '0;
    victim = '0;
    corrected = '0;
    dropped = '0;
    if (op_q != OpFlip) begin
      for (int w = int'(Ways) - 1; w >= 0; w--) begin
        corrected = corrected + 4'(mended[w]);
        dropped = dropped + 4'(lost[w]);
        if (lost[w]) begin
          data_d[w] = '0;
          used_d[w] = 1'b0;
        end
        if (data_d[w][63:20] == {1'b1, tag_q}) begin
          hit = 1'b1;
          found = WayBits'(w);
        end
        if (!data_d[w][63]) begin
          some_empty = 1'b1;
          empty = WayBits'(w);
        end
        if (!used_d[w]) begin
          some_idle = 1'b1;
          idle = WayBits'(w);
        end
      end
      if (op_q == OpScrub) hit = 1'b0;
      if (hit) index = data_d[found][19:0];
      to = found;
      case (op_q)
        OpRemove: begin
          if (hit) begin
            data_d[found] = '0;
            used_d[found] = 1'b0;
          end
        end
        OpInsert: begin
          if (!hit) to = some_empty ? empty : some_idle ? idle : '0;
          evicted = !hit && data_d[to][63];
          if (evicted) victim = data_d[to][19:0];
          data_d[to] = {1'b1, tag_q, index_q};
        end
        default: ;
      endcase
      if (op_q == OpInsert || (op_q == OpLookup && hit)) begin
        used_d[to] = 1'b1;
        if (&used_d) begin
          used_d = '0;
          used_d[to] = 1'b1;
        end
      end
    end
  end

  assign ready_o = state_q == Idle;
  assign answer_valid_o = state_q == Answer;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Clear;
      set_q <= '0;
    end else begin
      case (state_q)
        Clear: begin
          set_q <= set_q + 1'b1;
          if (&set_q) state_q <= Idle;
        end
        Idle:
        if (valid_i) begin
          set_q <= key_i[SetBits-1:0];
          tag_q <= key_i[63:21];
          op_q <= op_i;
          index_q <= index_i;
          way_q <= way_i;
          mask_q <= mask_i;
          state_q <= Read;
        end
        Read: state_q <= Work;
        Work: state_q <= Answer;
        default: if (answer_ready_i) state_q <= Idle;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == Read) begin
      read_q <= word_q[set_q];
      read_used_q <= used_q[set_q];
    end
    if (state_q == Clear) begin
      word_q[set_q] <= '0;
      used_q[set_q] <= '0;
    end else if (state_q == Work) begin
      word_q[set_q] <= word_d;
      used_q[set_q] <= used_d;
    end
    if (state_q == Work) begin
      hit_o <= hit;
      index_o <= index;
      evicted_o <= evicted;
      victim_o <= victim;
      corrected_o <= corrected;
      dropped_o <= dropped;
    end
  end

  known_operation :
  assert property (@(posedge clk_i) disable iff (!rst_ni) valid_i |-> op_i <= OpFlip)
  else $error("op_i is no operation");
endmodule

`default_nettype wire
