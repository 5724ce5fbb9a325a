// Included by secded_encoder and secded_decoder: the column of each data bit of the code of model/core/secded.h, numbers of CheckBits bits
// with 3 ones in ascending order, then those with 5, with 7, and so on.
function automatic logic [DataBits-1:0][CheckBits-1:0] columns();
  int unsigned n;
  n = 0;
  columns = '0;
  for (int unsigned ones = 3; ones <= CheckBits; ones += 2) begin
    for (int unsigned c = 0; c < (1 << CheckBits); c++) begin
      if ($countones(CheckBits'(c)) == ones && n < DataBits) begin
        columns[n] = CheckBits'(c);
        n++;
      end
    end
  end
endfunction
localparam logic [DataBits-1:0][CheckBits-1:0] Columns = columns();
