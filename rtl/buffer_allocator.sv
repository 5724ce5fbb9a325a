/// The adapter's store of posted receive buffers, by group: free lists with lenders and quotas in one memory of protected words, and a
/// map of the buffers in a list, which finds a buffer that is put twice.
/// The twin is model/core/buffer_allocator.{h,cpp}: for every command both give the same answer after the same number of cycles.
///
/// A word holds a buffer (address, id, length) in one code word of secded_encoder and the link to the next word in two: two wrong bits
/// of a word lose its buffer at most. Words that hold none are a list, too, the latest first; those never used follow by number.
///
/// Commands, one at a time:
///   OpConfigure  group, quota (buffers that may be out; 0: no limit), other: the lender (NoGroup: none)
///   OpPut        group, buffer: to the end of the group's list
///   OpTake       group: the first of its list, or of its lender's. Counts as out for the group
///   OpSettle     group: one of its buffers is out no longer
///   OpGiveBack   group, other: the list it came from, buffer: to the front of that list, and out no longer
///   OpReset      no buffers, nothing out, no quotas, no lenders; counters go on
///   OpFlip       group (Groups: the unused words), id: the n-th of the list, other: the bit of its word to flip. For tests
/// free_o and out_o are those of query_group_i, in the same cycle.
///
/// Latency: the answer is there, the cycles of command and answer both counted, after
///   3 cycles  where registers and map decide: refused, OpConfigure, OpSettle
///   5 cycles  where a word is read or written: OpPut, OpTake, OpGiveBack that are not refused
///   2 + 2^IdBits / 64 cycles  OpReset, which clears the map; the block does the same after rst_ni
///   4 + n cycles  OpFlip of the n-th word
/// Throughput: a command at a time; the next is taken in the cycle after an answer was.
/// Back-pressure: cmd_ready_o is low from a command to its answer's end. rsp_valid_o never waits for rsp_ready_i; an answer is stable
/// until taken. Source: a command is stable until accepted.
/// Bad input is refused with a status, in this order, and changes nothing: StBadGroup, (give back, put) StBadLength, StBadId,
/// StDoubleFree, (give back) StBadState, StFull; (take) StOverQuota, StEmpty. An opcode that is none answers StBadGroup.
/// Wrong bits: one of a code word is corrected and counted. StUncorrectable: OpTake has lost a buffer, whose id stays marked, or, where
/// both links are lost, the list; OpPut and OpGiveBack have lost the unused words, and put nothing. OpReset brings all back.
/// Nothing is handed out whose id is not marked, whatever is wrong.
`default_nettype none

module buffer_allocator #(
  parameter int unsigned Entries = 4096,  // words, 2 to 2^20 - 1
  parameter int unsigned IdBits = 16      // 6 to 21: ids whose low 21 bits are below 2^IdBits
) (
  input  wire logic        clk_i,
  input  wire logic        rst_ni,  // synchronous, active low
  // commands
  input  wire logic        cmd_valid_i,
  output logic             cmd_ready_o,
  input  wire logic [2:0]  cmd_op_i,
  input  wire logic [7:0]  cmd_group_i,
  input  wire logic [7:0]  cmd_other_i,
  input  wire logic [15:0] cmd_quota_i,
  input  wire logic [63:0] cmd_address_i,
  input  wire logic [31:0] cmd_id_i,
  input  wire logic [20:0] cmd_length_i,
  // answers
  output logic             rsp_valid_o,
  input  wire logic        rsp_ready_i,
  output logic [3:0]       rsp_status_o,
  output logic [3:0]       rsp_from_o,     // OpTake: the group whose list it came, or was lost, from
  output logic [63:0]      rsp_address_o,  // the buffer of OpTake with StOk; else 0
  output logic [31:0]      rsp_id_o,
  output logic [20:0]      rsp_length_o,
  // state
  input  wire logic [3:0]  query_group_i,
  output logic [19:0]      free_o,
  output logic [19:0]      out_o,
  output logic [63:0]      puts_o,
  output logic [63:0]      takes_o,
  output logic [63:0]      borrowed_o,
  output logic [63:0]      double_frees_o,
  output logic [63:0]      corrected_o,
  output logic [63:0]      uncorrectable_o
);
  if (Entries < 2 || Entries >= 2 ** 20) begin : gen_bad_entries
    $fatal(1, "buffer_allocator: Entries must be 2 to 2^20 - 1");
  end
  if (IdBits < 6 || IdBits > 21) begin : gen_bad_id_bits
    $fatal(1, "buffer_allocator: IdBits must be 6 to 21");
  end

  localparam int unsigned Groups = 16;
  localparam logic [7:0]  NoGroup = 8'hff;
  localparam logic [20:0] MaxLength = 21'h100000;
  localparam int unsigned IndexBits = $clog2(Entries);
  localparam int unsigned BufferBits = 64 + 32 + 21;
  localparam int unsigned BufferCodeBits = BufferBits + 8;
  localparam int unsigned LinkBits = 20;
  localparam int unsigned LinkCodeBits = LinkBits + 6;
  localparam int unsigned WordBits = BufferCodeBits + 2 * LinkCodeBits;
  localparam int unsigned MapBits = 64;  // of a word of the map
  localparam int unsigned MapIndexBits = IdBits == 6 ? 1 : IdBits - 6;
  localparam int unsigned MapWords = 2 ** (IdBits - 6);

  typedef enum logic [2:0] {OpConfigure, OpPut, OpTake, OpSettle, OpGiveBack, OpReset, OpFlip} op_e;
  typedef enum logic [3:0] {
    StOk, StBadGroup, StBadLength, StBadId, StFull, StDoubleFree, StEmpty, StOverQuota, StBadState, StUncorrectable
  } status_e;
  typedef logic [LinkBits-1:0] index_t;  // of a word; as many bits as a link has
  typedef struct packed {
    logic [20:0] length;
    logic [31:0] id;
    logic [63:0] address;
  } buffer_t;

  // ---- Control
  typedef enum logic [2:0] {Sweep, Idle, Check, Read, Act, Walk, Respond} state_e;
  state_e                   state_d, state_q;
  op_e                      op_q;
  logic [7:0]               group_q, other_q;
  logic [15:0]              quota_q;
  buffer_t                  buffer_q;
  logic [MapIndexBits-1:0]  sweep_q;
  logic                     sweeping_cmd_q;  // OpReset, which is answered
  logic [31:0]              walk_q;          // links still to follow

  logic accept;
  assign cmd_ready_o = state_q == Idle;
  assign accept = cmd_valid_i && cmd_ready_o;

  // ---- Lists, and what is out
  // Where a list is empty its ends are what they last were: written into links that nobody follows, unless too many bits are wrong.
  index_t      head_q [Groups];
  index_t      tail_q [Groups];
  index_t      free_q [Groups];
  index_t      out_q [Groups];
  logic [15:0] limit_q [Groups];
  logic [7:0]  lender_q [Groups];
  index_t      unused_head_q;  // of the words that came back
  index_t      recycled_q;     // as many
  index_t      fresh_q;        // the first word that was not used since the last reset
  index_t      unused_q;       // words without a buffer
  index_t      out_total_q;

  logic [3:0] group, other;
  assign group = group_q[3:0];
  assign other = other_q[3:0];

  // ---- Words: one read port, one write port that writes a code word or all three.
  logic [BufferCodeBits-1:0] word_buffer_q [Entries];
  logic [LinkCodeBits-1:0]   word_first_q [Entries];
  logic [LinkCodeBits-1:0]   word_second_q [Entries];
  logic                      read_en;
  index_t                    read_index, at_q;  // at_q: the word that was read last
  logic [WordBits-1:0]       word_q;            // second link, first link, buffer
  logic                      write_buffer, write_links;
  logic [IndexBits-1:0]      write_index;
  logic [WordBits-1:0]       write_word;

  always_ff @(posedge clk_i) begin
    if (read_en) begin
      word_q <= {word_second_q[read_index[IndexBits-1:0]], word_first_q[read_index[IndexBits-1:0]],
                 word_buffer_q[read_index[IndexBits-1:0]]};
      at_q <= read_index;
    end
    if (write_buffer) word_buffer_q[write_index] <= write_word[BufferCodeBits-1:0];
    if (write_links) begin
      word_first_q[write_index] <= write_word[BufferCodeBits+:LinkCodeBits];
      word_second_q[write_index] <= write_word[WordBits-1-:LinkCodeBits];
    end
  end

  buffer_t read_buffer;
  logic    buffer_corrected, buffer_lost;
  secded_decoder #(.DataBits(BufferBits)) u_buffer_decoder (
    .code_i(word_q[BufferCodeBits-1:0]), .data_o(read_buffer), .corrected_o(buffer_corrected), .uncorrectable_o(buffer_lost)
  );
  index_t first_link, second_link, read_link;
  logic   first_corrected, first_lost, second_corrected, second_lost;
  secded_decoder #(.DataBits(LinkBits)) u_first_decoder (
    .code_i(word_q[BufferCodeBits+:LinkCodeBits]), .data_o(first_link), .corrected_o(first_corrected), .uncorrectable_o(first_lost)
  );
  secded_decoder #(.DataBits(LinkBits)) u_second_decoder (
    .code_i(word_q[WordBits-1-:LinkCodeBits]), .data_o(second_link), .corrected_o(second_corrected), .uncorrectable_o(second_lost)
  );
  logic link_wrong, leads_on;
  assign read_link = first_lost ? second_link : first_link;
  assign link_wrong = first_corrected || first_lost || second_corrected || second_lost;
  assign leads_on = !(first_lost && second_lost) && read_link < fresh_q;

  index_t                    new_link;
  logic [BufferCodeBits-1:0] new_buffer_code;
  logic [LinkCodeBits-1:0]   new_link_code;
  secded_encoder #(.DataBits(BufferBits)) u_buffer_encoder (.data_i(buffer_q), .code_o(new_buffer_code));
  secded_encoder #(.DataBits(LinkBits)) u_link_encoder (.data_i(new_link), .code_o(new_link_code));

  // ---- The map: one read port, one write port with a mask of bits.
  logic [MapBits-1:0]      map_q [MapWords];
  logic [20:0]             map_id;
  logic [5:0]              map_bit_q;
  logic                    map_inside_q;
  logic [MapBits-1:0]      map_word_q;
  logic                    marked;
  logic                    mark, unmark;
  logic [20:0]             mark_id;

  // The word of the map that holds an id's bit. All bits of the index, and none above, where IdBits is 6.
  function automatic logic [MapIndexBits-1:0] map_index(logic [20:0] id);
    return MapIndexBits'(27'(id) >> 6) & MapIndexBits'(MapWords - 1);
  endfunction

  assign map_id = state_q == Idle ? cmd_id_i[20:0] : read_buffer.id[20:0];
  always_ff @(posedge clk_i) begin
    map_word_q <= map_q[map_index(map_id)];
    map_bit_q <= map_id[5:0];
    map_inside_q <= 22'(map_id) < 22'(2 ** IdBits);
    if (state_q == Sweep) map_q[sweep_q] <= '0;
    else if (mark || unmark) map_q[map_index(mark_id)][mark_id[5:0]] <= mark;
  end
  assign marked = map_inside_q && map_word_q[map_bit_q];

  // ---- Check: what registers and map decide.
  status_e    check_status;
  logic [3:0] from_d, from_q;
  logic       borrows_d, borrows_q;
  status_e    buffer_status;
  index_t     list_length;  // of OpFlip
  always_comb begin
    borrows_d = free_q[group] == '0 && lender_q[group] != NoGroup;
    from_d = borrows_d ? lender_q[group][3:0] : group;
    list_length = group_q[4] ? recycled_q : free_q[group];

    buffer_status = StOk;
    if (buffer_q.length == '0 || buffer_q.length > MaxLength) buffer_status = StBadLength;
    else if (!map_inside_q) buffer_status = StBadId;
    else if (marked) buffer_status = StDoubleFree;

    check_status = StOk;
    unique case (op_q)
      OpConfigure: begin
        if (group_q >= 8'(Groups) || (other_q != NoGroup && (other_q >= 8'(Groups) || other_q == group_q))) check_status = StBadGroup;
      end
      OpPut: begin
        if (group_q >= 8'(Groups)) check_status = StBadGroup;
        else if (buffer_status != StOk) check_status = buffer_status;
        else if (unused_q <= out_total_q) check_status = StFull;
      end
      OpTake: begin
        if (group_q >= 8'(Groups)) check_status = StBadGroup;
        else if (limit_q[group] != '0 && out_q[group] >= index_t'(limit_q[group])) check_status = StOverQuota;
        else if (free_q[from_d] == '0) check_status = StEmpty;
      end
      OpSettle: begin
        if (group_q >= 8'(Groups)) check_status = StBadGroup;
        else if (out_q[group] == '0) check_status = StBadState;
      end
      OpGiveBack: begin
        if (group_q >= 8'(Groups) || other_q >= 8'(Groups)) check_status = StBadGroup;
        else if (buffer_status != StOk) check_status = buffer_status;
        else if (out_q[group] == '0) check_status = StBadState;
        else if (unused_q == '0) check_status = StFull;
      end
      OpFlip: begin
        if (group_q > 8'(Groups)) check_status = StBadGroup;
        else if (walk_q >= 32'(list_length) || other_q >= 8'(WordBits)) check_status = StEmpty;
      end
      default: check_status = StBadGroup;
    endcase
  end

  // ---- Read: the word to take from, or the one to put into.
  logic   takes_word;    // OpPut and OpGiveBack: not from words that were never used
  logic   needs_link;
  logic   cut_d, cut_q;
  logic   wrong_d, wrong_q;  // something was corrected
  logic   lost_q;            // OpTake: the buffer is
  index_t put_index;
  assign takes_word = recycled_q != '0;
  assign needs_link = op_q == OpTake ? free_q[from_q] > 1 : recycled_q > 1;
  assign cut_d = (op_q == OpTake || takes_word) && needs_link && !leads_on;
  assign wrong_d = op_q == OpTake ? link_wrong || buffer_corrected : takes_word && link_wrong;
  assign put_index = takes_word ? at_q : fresh_q;

  index_t  put_index_q;
  buffer_t taken_q;
  index_t  link_q;
  always_ff @(posedge clk_i) begin
    if (state_q == Check) begin
      from_q <= from_d;
      borrows_q <= borrows_d;
    end
    if (state_q == Read) begin
      cut_q <= cut_d;
      wrong_q <= wrong_d;
      lost_q <= cut_d || buffer_lost;
      put_index_q <= put_index;
      taken_q <= read_buffer;
      link_q <= read_link;
    end
  end

  // ---- Act
  logic take_ok;
  assign take_ok = !lost_q && marked;

  always_comb begin
    read_en = 1'b0;
    read_index = unused_head_q;
    if (state_q == Check) begin
      read_en = 1'b1;
      if (op_q == OpTake) read_index = head_q[from_d];
      else if (op_q == OpFlip && !group_q[4]) read_index = head_q[group];
    end else if (state_q == Walk) begin
      read_en = 1'b1;
      read_index = read_link;
    end
  end

  always_comb begin
    write_buffer = 1'b0;
    write_links = 1'b0;
    write_index = IndexBits'(at_q);
    new_link = '0;
    write_word = {new_link_code, new_link_code, new_buffer_code};
    unique case (state_q)
      Read: begin
        write_buffer = op_q != OpTake && !cut_d;
        write_links = write_buffer;
        write_index = IndexBits'(put_index);
        if (op_q == OpGiveBack) new_link = head_q[other];
      end
      Act: begin
        if (op_q == OpTake) begin
          write_links = 1'b1;
          new_link = unused_head_q;
        end else begin
          write_links = op_q == OpPut && !cut_q && free_q[group] != '0;
          write_index = IndexBits'(tail_q[group]);
          new_link = put_index_q;
        end
      end
      Walk: begin
        write_buffer = walk_q == '0;
        write_links = write_buffer;
        write_word = word_q ^ WordBits'(1) << other_q;
      end
      default: ;
    endcase
  end

  assign mark = state_q == Act && op_q != OpTake && !cut_q;
  assign unmark = state_q == Act && op_q == OpTake && take_ok;
  assign mark_id = op_q == OpTake ? taken_q.id[20:0] : buffer_q.id[20:0];

  // ---- States
  always_comb begin
    state_d = state_q;
    unique case (state_q)
      Sweep: if (sweep_q == MapIndexBits'(MapWords - 1)) state_d = sweeping_cmd_q ? Respond : Idle;
      Idle: if (accept) state_d = cmd_op_i == OpReset ? Sweep : Check;
      Check: begin
        if (check_status != StOk || op_q == OpConfigure || op_q == OpSettle) state_d = Respond;
        else state_d = op_q == OpFlip ? Walk : Read;
      end
      Read: state_d = Act;
      Act: state_d = Respond;
      Walk: if (walk_q == '0 || !leads_on) state_d = Respond;
      default: if (rsp_ready_i) state_d = Idle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= Sweep;
      sweep_q <= '0;
      sweeping_cmd_q <= 1'b0;
    end else begin
      state_q <= state_d;
      if (state_q == Sweep) sweep_q <= sweep_q + 1'b1;
      if (accept) begin
        sweep_q <= '0;
        sweeping_cmd_q <= 1'b1;
      end
    end
    if (accept) begin
      op_q <= op_e'(cmd_op_i);
      group_q <= cmd_group_i;
      other_q <= cmd_other_i;
      quota_q <= cmd_quota_i;
      buffer_q <= '{length: cmd_length_i, id: cmd_id_i, address: cmd_address_i};
    end
    if (accept) walk_q <= cmd_id_i;
    else if (state_q == Walk) walk_q <= walk_q - 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (state_q == Sweep) begin
      for (int unsigned g = 0; g < Groups; g++) begin
        head_q[g] <= '0;
        tail_q[g] <= '0;
        free_q[g] <= '0;
        out_q[g] <= '0;
        limit_q[g] <= '0;
        lender_q[g] <= NoGroup;
      end
      unused_head_q <= '0;
      recycled_q <= '0;
      fresh_q <= '0;
      unused_q <= index_t'(Entries);
      out_total_q <= '0;
    end else if (state_q == Check && check_status == StOk) begin
      if (op_q == OpConfigure) begin
        limit_q[group] <= quota_q;
        lender_q[group] <= other_q;
      end
      if (op_q == OpSettle) begin
        out_q[group] <= out_q[group] - 1'b1;
        out_total_q <= out_total_q - 1'b1;
      end
    end else if (state_q == Act && op_q == OpTake) begin
      head_q[from_q] <= link_q;
      free_q[from_q] <= cut_q ? '0 : free_q[from_q] - 1'b1;
      unused_head_q <= at_q;
      recycled_q <= recycled_q + 1'b1;
      unused_q <= unused_q + 1'b1;
      if (take_ok) begin
        out_q[group] <= out_q[group] + 1'b1;
        out_total_q <= out_total_q + 1'b1;
      end
    end else if (state_q == Act && cut_q) begin
      recycled_q <= '0;
      unused_q <= unused_q - recycled_q;
    end else if (state_q == Act) begin
      unused_q <= unused_q - 1'b1;
      if (takes_word) begin
        unused_head_q <= link_q;
        recycled_q <= recycled_q - 1'b1;
      end else begin
        fresh_q <= fresh_q + 1'b1;
      end
      if (op_q == OpPut) begin
        if (free_q[group] == '0) head_q[group] <= put_index_q;
        tail_q[group] <= put_index_q;
        free_q[group] <= free_q[group] + 1'b1;
      end else begin
        head_q[other] <= put_index_q;
        if (free_q[other] == '0) tail_q[other] <= put_index_q;
        free_q[other] <= free_q[other] + 1'b1;
        out_q[group] <= out_q[group] - 1'b1;
        out_total_q <= out_total_q - 1'b1;
      end
    end
  end

  // ---- Counters and answers
  logic [63:0] puts_q, takes_q, borrowed_q, double_frees_q, corrected_q, uncorrectable_q;
  logic        act_lost;
  assign act_lost = op_q == OpTake ? !take_ok : cut_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      puts_q <= '0;
      takes_q <= '0;
      borrowed_q <= '0;
      double_frees_q <= '0;
      corrected_q <= '0;
      uncorrectable_q <= '0;
    end else if (state_q == Check) begin
      double_frees_q <= double_frees_q + 64'(check_status == StDoubleFree);
    end else if (state_q == Act) begin
      puts_q <= puts_q + 64'(op_q == OpPut && !act_lost);
      takes_q <= takes_q + 64'(op_q == OpTake && !act_lost);
      borrowed_q <= borrowed_q + 64'(op_q == OpTake && !act_lost && borrows_q);
      corrected_q <= corrected_q + 64'(wrong_q && !act_lost);
      uncorrectable_q <= uncorrectable_q + 64'(act_lost);
    end
  end

  status_e    status_q;
  logic [3:0] answer_from_q;
  buffer_t    answer_q;
  always_ff @(posedge clk_i) begin
    unique case (state_q)
      Idle: begin
        status_q <= StOk;
        answer_from_q <= '0;
        answer_q <= '0;
      end
      Check: status_q <= check_status;
      Act: begin
        if (act_lost) status_q <= StUncorrectable;
        if (op_q == OpTake) answer_from_q <= from_q;
        if (op_q == OpTake && take_ok) answer_q <= taken_q;
      end
      Walk: if (walk_q != '0 && !leads_on) status_q <= StUncorrectable;
      default: ;
    endcase
  end

  assign rsp_valid_o = state_q == Respond;
  assign rsp_status_o = status_q;
  assign rsp_from_o = answer_from_q;
  assign {rsp_length_o, rsp_id_o, rsp_address_o} = answer_q;
  assign free_o = free_q[query_group_i];
  assign out_o = out_q[query_group_i];
  assign puts_o = puts_q;
  assign takes_o = takes_q;
  assign borrowed_o = borrowed_q;
  assign double_frees_o = double_frees_q;
  assign corrected_o = corrected_q;
  assign uncorrectable_o = uncorrectable_q;

  // ---- Contract
  logic [23:0] free_sum, out_sum;
  always_comb begin
    free_sum = '0;
    out_sum = '0;
    for (int unsigned g = 0; g < Groups; g++) begin
      free_sum += 24'(free_q[g]);
      out_sum += 24'(out_q[g]);
    end
  end

  nothing_is_there_twice :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    state_q == Respond |-> free_sum + 24'(unused_q) <= 24'(Entries) && free_sum + out_sum <= 24'(Entries))
  else $error("more buffers than words");

  what_is_out_adds_up :
  assert property (@(posedge clk_i) disable iff (!rst_ni) state_q == Respond |-> out_sum == 24'(out_total_q))
  else $error("what is out does not add up");

  a_taken_buffer_was_in_a_list :
  assert property (@(posedge clk_i) disable iff (!rst_ni) unmark |-> marked && map_bit_q == mark_id[5:0])
  else $error("a buffer is handed out that is in no list");

  answer_stable_until_taken :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    rsp_valid_o && !rsp_ready_i |=> rsp_valid_o && $stable({rsp_status_o, rsp_from_o, rsp_address_o, rsp_id_o, rsp_length_o}))
  else $error("an answer changed before it was taken");

  source_stable_until_accepted :
  assert property (@(posedge clk_i) disable iff (!rst_ni)
    cmd_valid_i && !cmd_ready_o |=> cmd_valid_i && $stable({cmd_op_i, cmd_group_i, cmd_other_i, cmd_quota_i}) &&
    $stable({cmd_address_i, cmd_id_i, cmd_length_i}))
  else $error("a command changed before it was accepted");
endmodule

`default_nettype wire
