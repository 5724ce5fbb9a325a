/// Corrects one wrong bit of a code word of secded_encoder and finds two. The twin is model/core/secded.h.
///
/// Latency: none, combinational.
/// Bad input: three wrong bits or more may be taken for fewer, as in the twin. With uncorrectable_o, data_o is of no use.
`default_nettype none

module secded_decoder #(
  parameter  int unsigned DataBits = 64,
  localparam int unsigned HammingBits = $clog2(DataBits + 1 + $clog2(DataBits + 1 + $clog2(DataBits + 1))),
  localparam int unsigned CodeBits = DataBits + HammingBits + 1
) (
  input  wire logic [CodeBits-1:0] code_i,
  output logic      [DataBits-1:0] data_o,
  output logic                     corrected_o,
  output logic                     uncorrectable_o
);
  logic [CodeBits-1:0]    again;  // what the data as they came would have been encoded to
  logic [HammingBits-1:0] syndrome;
  logic                   odd;
  secded_encoder #(.DataBits(DataBits)) u_encoder (.data_i(code_i[DataBits-1:0]), .code_o(again));
  assign syndrome = again[DataBits+:HammingBits] ^ code_i[DataBits+:HammingBits];
  assign odd = ^code_i;

  // The column of a data bit; powers of two are those of check bits.
  function automatic logic [HammingBits-1:0] column_of(int unsigned bit_index);
    int unsigned column = 3;
    for (int unsigned i = 0; i <= bit_index; i++) begin
      if ((column & (column - 1)) == 0) column++;
      column_of = HammingBits'(column);
      column++;
    end
  endfunction

  logic [DataBits-1:0] wrong;
  for (genvar i = 0; i < DataBits; i++) begin : gen_wrong
    localparam logic [HammingBits-1:0] Column = column_of(i);
    assign wrong[i] = syndrome == Column;
  end

  logic check_wrong;  // or the parity bit
  assign check_wrong = (syndrome & (syndrome - 1'b1)) == '0;
  assign data_o = odd ? code_i[DataBits-1:0] ^ wrong : code_i[DataBits-1:0];
  assign corrected_o = odd && (check_wrong || |wrong);
  assign uncorrectable_o = odd ? !(check_wrong || |wrong) : |syndrome;

  // The encoder's data and parity come back as they went in.
  logic unused_again;
  assign unused_again = ^{again[CodeBits-1], again[DataBits-1:0]};
endmodule

`default_nettype wire
