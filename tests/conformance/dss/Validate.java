import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.PDFRevisionWrapper;
import eu.europa.esig.dss.diagnostic.SignatureWrapper;
import eu.europa.esig.dss.enumerations.SubIndication;
import eu.europa.esig.dss.jaxb.object.Message;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.simplereport.jaxb.XmlTimestamp;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What EU DSS says of signed files, by its default policy, with these anchors and nothing fetched.
 *
 * <p>Arguments: -trust CERTIFICATE (any number), -reports FOLDER (where the whole reports go), and files; a detached
 * signature as SIGNATURE=CONTENT. Each signature and each timestamp is one line of fields with tabs between: file, kind
 * (signature or timestamp), field or type, indication, sub-indication, format, signer, what was said of it.
 */
class Validate {
  private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

  public static void main(String[] arguments) throws Exception {
    CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    Path reports = null;
    for (int i = 0; i < arguments.length; i++) {
      switch (arguments[i]) {
        case "-trust" -> anchors.addCertificate(DSSUtils.loadCertificate(new File(arguments[++i])));
        case "-reports" -> reports = Path.of(arguments[++i]);
        default -> validate(arguments[i].split("=", 2), anchors, reports);
      }
    }
  }

  private static void validate(String[] files, CommonTrustedCertificateSource anchors, Path folder)
      throws Exception {
    // As it is made, the verifier has no source for revocation and certificates but the file itself.
    CommonCertificateVerifier verifier = new CommonCertificateVerifier();
    verifier.setTrustedCertSources(anchors);
    SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(files[0]));
    validator.setCertificateVerifier(verifier);
    if (files.length > 1) {
      validator.setDetachedContents(List.of(new FileDocument(files[1])));
    }
    Reports reports = validator.validateDocument();
    if (folder != null) {
      String name = Path.of(files[0]).getFileName().toString();
      Files.writeString(folder.resolve(name + ".detailed.xml"), reports.getXmlDetailedReport());
      Files.writeString(folder.resolve(name + ".simple.xml"), reports.getXmlSimpleReport());
    }
    SimpleReport said = reports.getSimpleReport();
    DiagnosticData data = reports.getDiagnosticData();
    for (String id : said.getSignatureIdList()) {
      String format = said.getSignatureFormat(id).toString();
      tell(files[0], "signature", field(data.getSignatureById(id)), said, id, format, said.getSignedBy(id));
      for (XmlTimestamp stamp : said.getSignatureTimestamps(id)) {
        String type = data.getTimestampById(stamp.getId()).getType().name();
        tell(files[0], "timestamp", type, said, stamp.getId(), "", said.getProducedBy(stamp.getId()));
      }
    }
    for (String id : said.getTimestampIdList()) {
      String type = data.getTimestampById(id).getType().name();
      tell(files[0], "timestamp", type, said, id, "", said.getProducedBy(id));
    }
  }

  private static String field(SignatureWrapper signature) {
    PDFRevisionWrapper revision = signature.getPDFRevision();
    return revision == null ? "" : String.join(",", revision.getSignatureFieldNames());
  }

  private static void tell(
      String file, String kind, String which, SimpleReport said, String id, String format, String by) {
    SubIndication why = said.getSubIndication(id);
    String messages =
        said.getAdESValidationErrors(id).stream().map(Message::getValue).collect(Collectors.joining("; "));
    OUT.println(
        String.join(
            "\t",
            file, kind, which, said.getIndication(id).name(), why == null ? "" : why.name(), format,
            by == null ? "" : by, messages));
  }
}
